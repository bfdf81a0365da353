package controller

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// A node that goes with a thousand tasks is one line of the log for each reason, not a thousand.
func TestWhatIsTakenBackIsOneLine(t *testing.T) {
	var out bytes.Buffer
	a := &applier{log: hclog.New(&hclog.LoggerOptions{Output: &out}), given: map[[2]string][]string{}}
	var list []*taskWork
	for _, id := range strings.Split("abcdefghijklmn", "") {
		list = append(list, &taskWork{taskID: id, node: "n1", back: "host_stop"})
	}
	a.givenBack(list[:3])
	a.givenBack(append(list[3:], &taskWork{taskID: "x", node: "n1", back: "drain"}, &taskWork{taskID: "y"}))
	a.logGivenBack()
	a.logGivenBack() // nothing is said twice
	got := out.String()
	for _, want := range []string{
		`tasks taken back from a node: node_id=n1 count=14 why="it has given them back: host_stop" tasks="a, b, c, d, e, f, g, h, i, j and 4 more"`,
		`tasks taken back from a node: node_id=n1 count=1 why="it has given them back: drain" tasks=x`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") != 2 {
		t.Error(got)
	}
}

func TestWhyAProcessMustGo(t *testing.T) {
	mark := skalds.TaskMark{TaskID: "t", Epoch: 5}
	later := func(t *skalds.Task) { t.Epoch = 6 }
	for want, task := range map[string]*skalds.Task{
		"do not know the task": nil,
		"was cancelled":        taskIn(skalds.Cancelled),
		"has finished under another assignment (epoch 6, this":     taskIn(skalds.Finished, later),
		"taken back: node n1 was not heard":                        taskIn(skalds.Created, later, func(t *skalds.Task) { t.LastExit = lossOf("n1", "was not heard") }),
		"belongs to node n2 now (epoch 6, this one was 5)":         taskIn(skalds.Running, later, func(t *skalds.Task) { t.Executor = "n2" }),
		"was taken back and waits for a node (epoch 6, this one w": taskIn(skalds.Created, later),
	} {
		if c := goneCommand("t", 1, mark, task, skalds.ExitSuperseded); !strings.Contains(c.Why, want) {
			t.Errorf("%q, want %q", c.Why, want)
		}
	}
	if c := goneCommand("t", 1, mark, taskIn(skalds.Running), skalds.ExitHostRestart); !strings.Contains(c.Why, "its host started anew") {
		t.Errorf("%q", c.Why)
	}
}

// Whoever leads hears at which word a node went, and not again of one that it knows.
func TestDeclaredLostIsHeardOnce(t *testing.T) {
	c := newCluster(DefaultConfig())
	now := time.UnixMilli(now)
	load := func(n skalds.Node) int { return len(c.load([]skalds.Node{n}, nil, nil, now)) }
	n := skalds.Node{ID: "n1", Revision: 1, LostAt: 3, LostBy: "before"}
	if got := load(n); got != 0 {
		t.Errorf("%d of before the start", got)
	}
	n.Revision, n.LostAt, n.LostBy = 2, 0, ""
	load(n)
	n.Revision, n.LostAt = 3, 7
	if got := load(n); got != 0 {
		t.Errorf("%d where the lease ended", got)
	}
	n.Revision, n.LostBy = 4, "anna"
	if first, again := load(n), load(n); first != 1 || again != 0 {
		t.Errorf("%d, and again %d", first, again)
	}
}
