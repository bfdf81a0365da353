package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
	"github.com/skalds-go/skalds/controller/monitor"
)

var quiet = hclog.NewNullLogger()

func TestEffects(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before *skalds.Task
		change func(*skalds.Task)
		want   string
	}{
		{"created", nil, func(t *skalds.Task) { *t = *taskIn(skalds.Created) }, "queue publish"},
		{"handed out", taskIn(skalds.Created), func(t *skalds.Task) { handOut(t, "n1") }, "command hold unqueue publish"},
		{"running", taskIn(skalds.Assigning, resuming), func(t *skalds.Task) { t.LifecycleStatus, t.AckedRevision = skalds.Running, 3 }, "publish"},
		{"how far a cancelled task came", taskIn(skalds.Cancelled), func(t *skalds.Task) { t.Progress.Percent = 40 }, "publish"},
		{"progress of no consequence", taskIn(skalds.Running), func(t *skalds.Task) { t.AppliedSeq++ }, ""},
		{"it needs more memory where it is", taskIn(skalds.Running), raised, "hold"},
		{"updated", taskIn(skalds.Running), func(t *skalds.Task) { _ = updateAttachments(t, json.RawMessage(`{}`)) }, "command publish"},
		{"updated while it waits", taskIn(skalds.Created), func(t *skalds.Task) { _ = updateAttachments(t, json.RawMessage(`{}`)) }, "queue publish"},
		{"cancelled", taskIn(skalds.Running), func(t *skalds.Task) { _ = cancel(t, now) }, "command release publish"},
		{"cancelled while it waits", taskIn(skalds.Created), func(t *skalds.Task) { _ = cancel(t, now) }, "unqueue publish"},
		{"held back", taskIn(skalds.Created), func(t *skalds.Task) { _ = pause(t) }, "unqueue publish"},
		{"paused on its node", taskIn(skalds.Running), func(t *skalds.Task) { _ = pause(t) }, "command publish"},
		{"node lost", taskIn(skalds.Running), func(t *skalds.Task) { nodeLost(t, "", now) }, "release queue publish"},
		{"into quarantine", taskIn(skalds.Running, func(t *skalds.Task) { t.NodeLosses = []int64{now, now} }), func(t *skalds.Task) { nodeLost(t, "", now) }, "release publish"},
		{"released from it", taskIn(skalds.Created, quarantine), func(t *skalds.Task) { _ = retry(t, now) }, "queue publish"},
		{"retried", taskIn(skalds.Failed), func(t *skalds.Task) { _ = retry(t, now) }, "queue publish"},
		{"finished", taskIn(skalds.Running), func(t *skalds.Task) { end(t, skalds.Finished, now) }, "release publish"},
	} {
		after := &skalds.Task{}
		if tt.before != nil {
			after = tt.before.Clone()
		}
		tt.change(after)
		e := effectsOf(tt.before, after)
		var got []string
		for _, f := range []struct {
			name string
			set  bool
		}{{"command", e.Command}, {"hold", e.Hold}, {"release", e.Release}, {"queue", e.Queue}, {"unqueue", e.Unqueue}, {"publish", e.Publish}} {
			if f.set {
				got = append(got, f.name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if e.Command && e.Node == "" {
			t.Errorf("%s: a command to nobody", tt.name)
		}
	}
}

func TestCommands(t *testing.T) {
	for _, tt := range []struct {
		task    *skalds.Task
		desired skalds.Desired
		reason  skalds.ExitKind
	}{
		{taskIn(skalds.Running), skalds.DesiredRunning, ""},
		{taskIn(skalds.Running, pausing), skalds.DesiredPaused, ""},
		{taskIn(skalds.Running, gone), skalds.DesiredGone, skalds.ExitDrain},
		{taskIn(skalds.Cancelled, gone), skalds.DesiredGone, skalds.ExitCancelled},
		{taskIn(skalds.Finished), skalds.DesiredGone, skalds.ExitCancelled},
	} {
		c := commandFor(tt.task, 2)
		if c.Desired != tt.desired || c.Reason != string(tt.reason) || c.Epoch != 5 || c.DesiredRevision != 3 || c.Generation != 2 || (c.Spec == nil) != (tt.desired == skalds.DesiredGone) {
			t.Errorf("%s, %s: %+v", tt.task.LifecycleStatus, tt.task.Desired, c)
		}
	}
	if c := commandFor(taskIn(skalds.Running, raised), 1); c.MemoryFailures != 2 || c.MemoryLimit != 512 {
		t.Errorf("ends for memory are not told to the node: %+v", c)
	}
	large := taskIn(skalds.Running, func(t *skalds.Task) {
		t.Attachments = json.RawMessage(fmt.Sprintf("%q", strings.Repeat("x", 120<<10)))
		t.Stages = map[string]json.RawMessage{"a": json.RawMessage(fmt.Sprintf("%q", strings.Repeat("y", 140<<10)))}
	})
	if c := commandFor(large, 1); c.Stages != nil || len(mustJSON(t, c)) > skalds.MaxBusMessageBytes {
		t.Error("a command is larger than a message of the bus may be")
	}
}

// TestGoneOutranks: whatever a node knows of a task, the command that ends it is newer, and never newer than what the store
// will say next.
func TestGoneOutranks(t *testing.T) {
	for _, m := range []skalds.TaskMark{{TaskID: "t", Epoch: 3, DesiredRevision: 9}, {TaskID: "t", Epoch: 5, DesiredRevision: 3}, {TaskID: "t", Epoch: 8, DesiredRevision: 1}} {
		for kind, task := range everyTask() {
			c := goneCommand("t", 1, m, task, skalds.ExitSuperseded)
			known := skalds.Command{Generation: 1, Epoch: m.Epoch, DesiredRevision: m.DesiredRevision}
			if !c.Newer(&known) || c.Desired != skalds.DesiredGone {
				t.Errorf("%s, mark %+v: %+v does not outrank what the node knows", kind, m, c)
			}
			again := task.Clone()
			if toCreated(again, now); m.Epoch <= task.Epoch && handOut(again, "n1") {
				if next := commandFor(again, 1); !next.Newer(&c) {
					t.Errorf("%s, mark %+v: the next hand-out %d/%d does not outrank %d/%d", kind, m, next.Epoch, next.DesiredRevision, c.Epoch, c.DesiredRevision)
				}
			}
		}
	}
	if c := goneCommand("t", 1, skalds.TaskMark{Epoch: 3, DesiredRevision: 9}, nil, skalds.ExitSuperseded); c.Epoch != 3 || c.DesiredRevision != 10 {
		t.Errorf("of a task that nobody knows: %+v", c)
	}
}

// TestWhichNodesGetTasks walks through what a node must be and say before it gets a task.
// amend changes the record of node n1, as after it was stored.
func amend(c *cluster, change func(*skalds.Node)) {
	n := c.nodeRecord("n1")
	change(&n)
	c.stored(n)
}

// greet is an answered hello of node n1.
func greet(c *cluster, incarnation int64, at time.Time) {
	amend(c, func(n *skalds.Node) { n.Mode, n.Incarnation = skalds.NodeModeNode, incarnation })
	c.greet("n1", incarnation, at)
}

func TestWhichNodesGetTasks(t *testing.T) {
	at := time.UnixMilli(now)
	for _, tt := range []struct {
		name    string
		node    func(c *cluster)
		refused string
	}{
		{"ready", func(*cluster) {}, ""},
		{"offline", func(c *cluster) { c.silent("n1", 0) }, "is offline"},
		{"lost", func(c *cluster) { c.silent("n1", now) }, "is lost"},
		{"back, without a hello", func(c *cluster) { c.silent("n1", now); c.heard("n1", 4, 2, at) }, "has not said hello yet"},
		{"restarted, without a hello", func(c *cluster) { c.heard("n1", 5, 1, at) }, "has not said hello yet"},
		{"something that it said was lost", func(c *cluster) { c.distrust("n1") }, "has not said hello yet"},
		{"cordoned", func(c *cluster) { amend(c, func(n *skalds.Node) { n.Cordoned = true }) }, "is cordoned"},
		{"draining", func(c *cluster) { amend(c, func(n *skalds.Node) { n.Draining = true }) }, "is draining"},
		{"edge", func(c *cluster) { amend(c, func(n *skalds.Node) { n.Mode = skalds.NodeModeEdge }) }, "runs the tasks of its own file only"},
		{"cordoned, after another hello", func(c *cluster) {
			amend(c, func(n *skalds.Node) { n.Cordoned = true })
			greet(c, 4, at)
		}, "is cordoned"},
	} {
		c := newCluster(DefaultConfig())
		worker := skalds.WorkerInfo{Name: "demo", Version: "1.0.0", Classes: []skalds.ClassInfo{{ClassName: "Demo"}}}
		c.setWorkers("n1", []skalds.WorkerInfo{worker})
		c.heard("n1", 4, 1, at)
		c.observe([]skalds.Heartbeat{{NodeID: "n1", Incarnation: 4, Seq: 1, Capacity: skalds.Capacity{CPUCores: 4, MemoryBytes: 1 << 30}}}, at)
		greet(c, 4, at)
		tt.node(c)
		r := dispatch.NewRequest(taskIn(skalds.Created))
		_, verdicts := c.explain(&r, at)
		if len(verdicts) != 1 || verdicts[0].Refused != tt.refused {
			t.Errorf("%s: %+v, want %q", tt.name, verdicts, tt.refused)
		}
		if v, ok := c.place(&r, at); ok != (tt.refused == "") {
			t.Errorf("%s: placed %v: %+v", tt.name, ok, v)
		}
	}
}

func TestAskingForHellos(t *testing.T) {
	c := newCluster(DefaultConfig())
	at := time.UnixMilli(now)
	c.heard("n1", 4, 1, at)
	asked := 0
	for s := range 60 {
		asked += len(c.wantsHello(at.Add(time.Duration(s) * time.Second)))
	}
	if asked < 4 || asked > 8 {
		t.Errorf("asked %d times in a minute: want soon, then less often", asked)
	}
	greet(c, 5, at) // its heartbeats come later
	for range 10 {
		asked += len(c.wantsHello(at.Add(time.Minute)))
	}
	if asked > 9 {
		t.Errorf("asked %d times: a hello before the heartbeat begins a storm of questions", asked)
	}
	c.heard("n1", 5, 1, at)
	if list := c.wantsHello(at.Add(time.Hour)); len(list) != 0 {
		t.Errorf("asked %v after its hello", list)
	}
	c.distrust("n1")
	if list := c.wantsHello(at.Add(2 * time.Hour)); len(list) != 1 {
		t.Error("not asked, though something that it said was lost")
	}
}

func TestBoundTasksAreFreeWhenTheirNodeIsGone(t *testing.T) {
	c := newCluster(DefaultConfig())
	at := time.UnixMilli(now)
	c.heard("n1", 4, 1, at)
	bind := func(t *skalds.Task) { t.BoundTo = "n1" }
	for _, alive := range []bool{true, false} {
		for name, tt := range map[string]struct {
			task *skalds.Task
			want string
		}{
			"stop":      {taskIn(skalds.Created, bind), map[bool]string{true: "n1", false: ""}[alive]},
			"keep":      {taskIn(skalds.Created, bind, keeps), "n1"},
			"of a file": {taskIn(skalds.Created, active), "n1"},
			"unbound":   {taskIn(skalds.Created), ""},
		} {
			if got := c.boundTo(tt.task); got != tt.want {
				t.Errorf("%s, node alive %v: bound to %q, want %q", name, alive, got, tt.want)
			}
		}
		c.readable(monitor.Store, at)
		c.readable(monitor.Bus, at)
		c.check(at)
		for s := range 8 { // its lease passes
			later := at.Add(time.Duration(s) * time.Second)
			c.readable(monitor.Store, later)
			c.readable(monitor.Bus, later)
			c.check(later)
		}
	}
}

// A controller whose clock is behind or ahead declares a node lost: the others take it off line all the same, and it says hello again.
func TestANodeIsDeclaredLostByAnotherClock(t *testing.T) {
	at := time.UnixMilli(now)
	for _, skew := range []time.Duration{-time.Hour, 0, time.Hour} {
		c := newCluster(DefaultConfig())
		c.lead(true)
		c.heard("n1", 4, 1, at)
		greet(c, 4, at)
		lost := c.nodeRecord("n1")
		lost.LostAt = at.Add(skew).UnixMilli()
		c.load([]skalds.Node{lost}, noOffers(), nil, at)
		if v, _ := c.view("n1"); v.Online || v.Greeted {
			t.Errorf("%s: online %v, greeted %v", skew, v.Online, v.Greeted)
		}
		c.heard("n1", 4, 2, at.Add(time.Second))
		c.load([]skalds.Node{lost}, noOffers(), nil, at.Add(time.Second))
		if v, _ := c.view("n1"); v.Greeted || skew <= 0 && !v.Online {
			t.Errorf("%s: heard again: online %v, greeted %v", skew, v.Online, v.Greeted)
		}
	}
}
