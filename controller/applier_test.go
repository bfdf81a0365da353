package controller

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// TestAnEndThatWasGivenUpIsOwed: a host forgets an end when the record of it is acknowledged, so that must wait until the
// end is applied.
func TestAnEndThatWasGivenUpIsOwed(t *testing.T) {
	c := newCluster(DefaultConfig())
	at := time.UnixMilli(now)
	c.heard("n1", 4, 1, at)
	a := newApplier(nil, nil, &TaskService{cluster: c}, nil, nil, nil, quiet)
	says := func(m skalds.HostMessage) *taskWork {
		m.NodeID, m.Incarnation = "n1", 4
		return &taskWork{taskID: "t", items: []skalds.HostMessage{m}}
	}
	report := func(r skalds.Report) *taskWork { return says(skalds.HostMessage{Report: &r}) }
	record := says(skalds.HostMessage{Outcome: &skalds.Outcome{}})
	over := says(skalds.HostMessage{Outcome: &skalds.Outcome{}})
	over.over = true
	for i, tt := range []struct {
		work  *taskWork
		done  ending
		owed  bool
		hello bool // the node must say one
	}{
		{report(skalds.Report{State: skalds.Running}), applied, false, false},
		{report(skalds.Report{State: skalds.Running}), givenUp, false, true},
		{record, applied, false, false},
		{record, givenUp, false, false}, // it is sent again until it is acknowledged
		{report(skalds.Report{State: skalds.Finished}), givenUp, true, true},
		{record, applied, true, false},
		{report(skalds.Report{State: skalds.Running}), applied, true, false},
		{report(skalds.Report{State: skalds.Finished}), interrupted, true, false},
		{report(skalds.Report{State: skalds.Finished}), applied, false, false},
		{record, applied, false, false},
		{report(skalds.Report{State: skalds.Created, GoneFor: "move"}), givenUp, true, true},
		{report(skalds.Report{State: skalds.Created, GoneFor: "move"}), applied, false, false},
		{report(skalds.Report{State: skalds.Finished}), givenUp, true, true},
		{over, applied, false, false}, // a user has cancelled it meanwhile
		{record, applied, false, false},
	} {
		greet(c, 4, at)
		if got := a.owes(tt.work, tt.done); got != tt.owed {
			t.Errorf("step %d: owed %v, want %v", i, got, tt.owed)
		}
		if asked := len(c.wantsHello(at.Add(time.Hour))) > 0; asked != tt.hello {
			t.Errorf("step %d: asked for a hello %v, want %v", i, asked, tt.hello)
		}
	}
}

// TestHellosThatAreSupersededAreIdle: of many hellos of a node that wait, the last whole one is answered.
func TestHellosThatAreSupersededAreIdle(t *testing.T) {
	hello := func(node string, incarnation, number int64, part, parts int) delivery {
		return delivery{message: skalds.HostMessage{NodeID: node, Incarnation: incarnation, Hello: &skalds.Hello{Number: number, Part: part, Parts: parts}}}
	}
	report := delivery{message: skalds.HostMessage{NodeID: "a", Incarnation: 1, Report: &skalds.Report{TaskID: "t"}}}
	for name, tt := range map[string]struct {
		batch []delivery
		idle  []int
	}{
		"one":                   {[]delivery{report, hello("a", 1, 1, 1, 1), report}, nil},
		"three":                 {[]delivery{hello("a", 1, 1, 1, 1), report, hello("a", 1, 2, 1, 1), hello("a", 1, 3, 1, 1)}, []int{0, 2}},
		"of two nodes":          {[]delivery{hello("a", 1, 1, 1, 1), hello("b", 1, 2, 1, 1)}, nil},
		"of a former self":      {[]delivery{hello("a", 1, 9, 1, 1), hello("a", 2, 1, 1, 1)}, []int{0}},
		"twice":                 {[]delivery{hello("a", 1, 1, 1, 1), hello("a", 1, 1, 1, 1)}, nil},
		"a former self is late": {[]delivery{hello("a", 2, 1, 1, 1), hello("a", 1, 9, 1, 1)}, nil},
		"in parts":              {[]delivery{hello("a", 1, 1, 1, 2), hello("a", 1, 1, 2, 2), hello("a", 1, 2, 1, 2), hello("a", 1, 2, 2, 2)}, []int{0, 1}},
		"the end is to come":    {[]delivery{hello("a", 1, 1, 1, 1), hello("a", 1, 2, 1, 2)}, nil},
		"the begin is missing":  {[]delivery{hello("a", 1, 1, 1, 1), hello("a", 1, 2, 2, 2)}, nil},
		"the newest is broken":  {[]delivery{hello("a", 1, 1, 1, 1), hello("a", 1, 2, 1, 1), hello("a", 1, 3, 2, 2)}, []int{0}},
	} {
		got := slices.Sorted(maps.Keys(superseded(tt.batch)))
		if !slices.Equal(got, tt.idle) {
			t.Errorf("%s: %v are idle, want %v", name, got, tt.idle)
		}
	}
}
