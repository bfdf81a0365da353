package cgroup

import "testing"

func TestAGroupIsFreshAndGoesWithoutATrace(t *testing.T) {
	tree := onThisMachine(t)
	g := newGroup(t, tree, Limits{All: true})
	if _, err := tree.New(g.Name(), Limits{}); err == nil {
		t.Error("a name was used twice")
	}
	s, err := g.Stat()
	if err != nil || s.Processes != 0 || s.Threads != 0 || s.CPU != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
