package originals

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// pythonNode is a node of the original as its keys show it.
type pythonNode struct {
	beatAt, listedAt time.Time
	dead             bool
	runs             map[string]*pythonWorker // its dictionary: what was started and not seen leave
}

// pythonWorker is a process, or what it has left.
type pythonWorker struct {
	beatAt time.Time
	mute   bool // it has died, hangs, or has not begun to beat
}

// world is Redis with a bridge in front of it; tick lets a second pass.
type world struct {
	t     *testing.T
	b     *Bridge
	now   time.Time
	nodes map[string]*pythonNode
	keys  map[string]skalds.OriginalTask // ends, and heartbeats that do not expire
	beats map[string]time.Time           // by task
	away  bool                           // Redis
	fails bool                           // the bus
	sent  []string
	said  []string
	last  map[string]Action
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, ids ...string) *world {
	w := &world{
		t: t, b: New(DefaultConfig()), now: noon, nodes: map[string]*pythonNode{}, keys: map[string]skalds.OriginalTask{},
		beats: map[string]time.Time{}, last: map[string]Action{},
	}
	for _, id := range ids {
		w.nodes[id] = &pythonNode{runs: map[string]*pythonWorker{}}
	}
	w.pass(4)
	for _, id := range ids {
		if !w.b.Online(id) {
			t.Fatalf("%s is not online", id)
		}
	}
	w.said = nil
	return w
}

// doc is a document on a node.
func doc(id, node string, change ...func(*skalds.Task)) *skalds.Task {
	t := &skalds.Task{
		Spec: skalds.Spec{ID: id}, LifecycleStatus: skalds.Assigning, Executor: node, Epoch: 1, Desired: skalds.DesiredRunning, DesiredRevision: 1,
	}
	for _, c := range change {
		c(t)
	}
	return t
}

func running(t *skalds.Task) { t.LifecycleStatus, t.AckedRevision = skalds.Running, t.DesiredRevision }

// starts has a node start a task.
func (w *world) starts(node, id string) {
	w.nodes[node].runs[id] = &pythonWorker{}
	delete(w.keys, id)
}

// ends has a worker say its last word and leave; its node lists it until the next list.
func (w *world) ends(node, id string, value int, exception string) {
	delete(w.nodes[node].runs, id)
	delete(w.beats, id)
	w.keys[id] = skalds.OriginalTask{Found: true, Value: value, Left: time.Hour, Exception: exception}
}

// vanishes has one leave whose last word was overwritten by a heartbeat.
func (w *world) vanishes(node, id, exception string) {
	delete(w.nodes[node].runs, id)
	w.keys[id] = skalds.OriginalTask{Exception: exception}
	w.beats[id] = w.now
}

func (w *world) read() ([]skalds.OriginalNode, map[string]skalds.OriginalTask) {
	var nodes []skalds.OriginalNode
	left := func(at time.Time) time.Duration { return max(skalds.OriginalBeat-w.now.Sub(at), 0) }
	for _, id := range slices.Sorted(maps.Keys(w.nodes)) {
		n := w.nodes[id]
		if !n.dead {
			if w.now.Sub(n.beatAt) >= 3*time.Second {
				n.beatAt = w.now
			}
		}
		o := skalds.OriginalNode{ID: id, Mode: skalds.NodeModeNode, Left: left(n.beatAt), Classes: []string{"Count"}, ListedAt: n.listedAt.UnixMilli()}
		for _, id := range slices.Sorted(maps.Keys(n.runs)) {
			p := n.runs[id]
			if !p.mute && w.now.Sub(p.beatAt) >= 3*time.Second { // an orphan goes on
				p.beatAt = w.now
				w.beats[id] = w.now
			}
		}
		if !n.dead && w.now.Sub(n.listedAt) >= 3*time.Second {
			n.listedAt = w.now
		}
		o.ListedAt = n.listedAt.UnixMilli()
		if n.listedAt.Equal(w.now) || n.dead {
			o.Tasks = slices.Sorted(maps.Keys(n.runs))
		}
		nodes = append(nodes, o)
	}
	tasks := maps.Clone(w.keys)
	for id, at := range w.beats {
		if l := left(at); l > 0 {
			tasks[id] = skalds.OriginalTask{Found: true, Value: 99, Left: l, Exception: tasks[id].Exception}
		}
	}
	return nodes, tasks
}

// pass lets seconds pass.
func (w *world) pass(seconds int) {
	for range seconds {
		w.now = w.now.Add(time.Second)
		nodes, tasks := w.read()
		if !w.away {
			for _, c := range w.b.Hear(nodes, w.now) {
				w.said = append(w.said, fmt.Sprintf("%s online=%v", c.ID, c.Online))
			}
			for _, a := range w.b.Judge(w.b.Ask(), tasks, w.now) {
				w.last[a.TaskID] = a
				if what := fmt.Sprintf("%s %s", a.TaskID, kinds[a.Kind]); len(w.said) == 0 || w.said[len(w.said)-1] != what {
					w.said = append(w.said, what)
				}
			}
		}
		for _, s := range w.b.Sends(w.now) {
			if w.fails {
				continue
			}
			w.sent = append(w.sent, fmt.Sprintf("%s %s", s.Topic, s.TaskID))
			w.b.Sent(s, w.now)
		}
	}
}

var kinds = map[Kind]string{
	Runs: "runs", Finished: "finished", Failed: "failed", Stopped: "stopped", Drained: "drained", Silent: "silent", NeverBegan: "never began",
	NotTaken: "not taken", Vanished: "vanished", NodeLost: "node lost", Free: "free", Stranger: "stranger",
}

// expect compares what was concluded and sent since the last time.
func (w *world) expect(said, sent string) {
	w.t.Helper()
	if got := strings.Join(w.said, ", "); got != said {
		w.t.Errorf("at %s: concluded %q, want %q", w.now.Sub(noon), got, said)
	}
	if got := strings.Join(w.sent, ", "); got != sent {
		w.t.Errorf("at %s: sent %q, want %q", w.now.Sub(noon), got, sent)
	}
	w.said, w.sent = nil, nil
}

const (
	assign = skalds.TopicTaskAssign
	cancel = skalds.TopicTaskCancel
	update = skalds.TopicTaskUpdate
)

func TestABridge(t *testing.T) {
	for name, play := range map[string]func(w *world){
		"a task is assigned once, runs and finishes": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.expect("", assign+" t")
			w.starts("py", "t")
			w.pass(1)
			w.expect("t runs", "")
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.pass(60)
			w.expect("", "")
			w.ends("py", "t", 200, "")
			w.pass(1)
			w.expect("t finished", "")
			w.b.Release("t", false, w.now)
			if node, _, ok := w.b.Stays("t", w.now); !ok || node != "py" {
				w.t.Error("it is not known that its process is still leaving")
			}
			w.pass(9)
			w.expect("", "")
			if _, _, ok := w.b.Stays("t", w.now); ok {
				w.t.Error("its process is still waited for")
			}
		},
		"it is assigned again only after two periods without a sign": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(6)
			w.expect("", assign+" t")
			w.pass(3)
			w.expect("", assign+" t")
			w.pass(8)
			w.expect("", assign+" t")
			w.pass(12)
			w.expect("t not taken", "")
			if !w.last["t"].Left {
				w.t.Error("it is not free at once")
			}
		},
		"never after it was listed": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.starts("py", "t")
			w.nodes["py"].runs["t"].mute = true // it is still connecting
			w.pass(40)
			w.expect("", assign+" t")
			w.nodes["py"].runs["t"].mute = false
			w.pass(1)
			w.expect("t runs", "")
		},
		"one that never begins is given up": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.starts("py", "t")
			w.nodes["py"].runs["t"].mute = true
			w.pass(66)
			w.expect("t never began", assign+" t, "+cancel+" t")
			if w.last["t"].Left {
				w.t.Error("it is said to have left")
			}
		},
		"a heartbeat that does not expire is no sign of life": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.keys["t"] = skalds.OriginalTask{Found: true, Value: 7}
			w.pass(6)
			w.expect("", assign+" t")
			w.pass(3)
			w.expect("", assign+" t")
		},
		"an event that the bus does not take is sent again": func(w *world) {
			w.fails = true
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(30)
			w.expect("", "")
			w.fails = false
			w.pass(1)
			w.expect("", assign+" t")
		},
		"a failure tells its text": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.starts("py", "t")
			w.pass(1)
			w.ends("py", "t", -1, "no such camera")
			w.pass(1)
			w.expect("t runs, t failed", assign+" t")
			if a := w.last["t"]; a.Text != "no such camera" || a.Left {
				w.t.Errorf("%+v", a)
			}
			stopping := doc("t", "py", running, func(t *skalds.Task) { t.Phase = skalds.PhaseStopping })
			w.b.Hold(stopping, Loaded, w.now)
			w.pass(3) // until its node does not list it any more
			w.expect("t free", "")
		},
		"a process that dies is missed after the lease, and reaped": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.starts("py", "t")
			w.pass(1)
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.nodes["py"].runs["t"].mute = true
			w.pass(15)
			w.expect("t runs", assign+" t")
			w.pass(1)
			w.expect("t silent", cancel+" t")
			w.b.Hold(doc("t", "py", running, func(t *skalds.Task) { t.Phase = skalds.PhaseStopping }), Loaded, w.now)
			w.pass(1)
			w.expect("", "")
			delete(w.nodes["py"].runs, "t") // the node has waited for it
			w.pass(3)
			w.expect("t free", "")
		},
		"a process that nothing ends is not waited for for ever": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.starts("py", "t")
			w.pass(1)
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.nodes["py"].runs["t"].mute = true
			w.pass(16)
			w.b.Hold(doc("t", "py", running, func(t *skalds.Task) { t.Phase = skalds.PhaseStopping }), Loaded, w.now)
			w.expect("t runs, t silent", assign+" t, "+cancel+" t")
			for range 7 {
				if w.pass(6); slices.Contains(w.said, "t free") {
					return
				}
			}
			w.t.Errorf("said %v, sent %v", w.said, w.sent)
		},
		"a lost last word": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.starts("py", "t")
			w.pass(1)
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.vanishes("py", "t", "")
			w.pass(8)
			w.expect("t runs", assign+" t")
			w.pass(12)
			w.expect("t vanished", "")
			if !w.last["t"].Left {
				w.t.Error("it is not free at once")
			}
		},
		"a lost last word of a failure": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.starts("py", "t")
			w.pass(1)
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.vanishes("py", "t", "out of frames")
			w.pass(20)
			w.expect("t runs, t failed", assign+" t")
			if a := w.last["t"]; a.Text != "out of frames" || !a.Left {
				w.t.Errorf("%+v", a)
			}
		},
		"a node that is stopped": func(w *world) {
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.starts("py", "t")
			w.pass(2)
			w.ends("py", "t", -2, "")
			w.nodes["py"].dead = true
			w.pass(6)
			w.expect("", "") // a request to cancel may be on its way
			w.pass(1)
			w.expect("t stopped", "")
		},
		"a node that is lost takes its tasks along": func(w *world) {
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.starts("py", "t")
			w.pass(2)
			w.nodes["py"].dead = true
			w.nodes["py"].runs["t"].mute = true
			w.pass(11)
			w.expect("", "")
			w.pass(6)
			w.expect("py online=false, t node lost", "")
		},
		"but for those whose own heartbeat goes on": func(w *world) {
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.starts("py", "t")
			w.pass(2)
			w.nodes["py"].dead = true
			w.pass(60)
			w.expect("py online=false", "")
			w.nodes["py"].runs["t"].mute = true
			w.pass(4)
			w.expect("", "")
			w.pass(5)
			w.expect("t node lost", "")
		},
		"a node that comes back is heard again": func(w *world) {
			w.nodes["py"].dead = true
			w.pass(20)
			w.expect("py online=false", "")
			w.nodes["py"].dead = false
			w.pass(1)
			w.expect("py online=true", "")
		},
		"the store knows a node that was never heard": func(w *world) {
			w.b.Hold(doc("t", "gone", running), Loaded, w.now)
			w.pass(14)
			w.expect("", "")
			w.pass(3)
			w.expect("gone online=false, t node lost", "")
		},
		"Redis is away for long": func(w *world) {
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.starts("py", "t")
			w.pass(4)
			w.away = true
			w.pass(100)
			w.away = false
			w.nodes["py"].beatAt, w.beats = time.Time{}, map[string]time.Time{} // and it has lost everything
			w.nodes["py"].runs["t"].beatAt = w.now
			w.pass(30)
			w.expect("", "")
		},
		"an update is told once, and again to one that has just begun": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.starts("py", "t")
			w.pass(1)
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.expect("t runs", assign+" t")
			w.b.Hold(doc("t", "py", running, func(t *skalds.Task) { t.DesiredRevision = 2 }), Loaded, w.now)
			w.pass(5)
			w.expect("", update+" t")
			w.b.Hold(doc("t", "py", running, func(t *skalds.Task) { t.DesiredRevision, t.AckedRevision = 2, 2 }), Loaded, w.now)
			w.pass(30)
			w.expect("", update+" t")
			w.b.Hold(doc("t", "py", running, func(t *skalds.Task) { t.DesiredRevision, t.AckedRevision = 3, 2 }), Loaded, w.now)
			w.pass(30)
			w.expect("", update+" t")
		},
		"an update before the first heartbeat waits for it": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.pass(1)
			w.expect("", assign+" t")
			w.b.Hold(doc("t", "py", func(t *skalds.Task) { t.DesiredRevision = 2 }), Loaded, w.now)
			w.pass(2)
			w.starts("py", "t")
			w.pass(1)
			w.expect("t runs", "")
			if r := w.last["t"].Revision; r != 1 {
				w.t.Errorf("the node is said to have read revision %d", r)
			}
			w.b.Hold(doc("t", "py", func(t *skalds.Task) { t.LifecycleStatus, t.DesiredRevision, t.AckedRevision = skalds.Running, 2, 1 }), Loaded, w.now)
			w.pass(1)
			w.expect("", update+" t")
		},
		"what is cancelled is told to go until it has": func(w *world) {
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.starts("py", "t")
			w.pass(4)
			w.b.Release("t", true, w.now)
			w.pass(5)
			w.expect("", cancel+" t")
			w.pass(6)
			w.expect("", cancel+" t")
			w.ends("py", "t", -2, "")
			w.pass(3) // until it is off the list
			w.sent = nil
			w.pass(12)
			w.expect("", "")
			if _, _, ok := w.b.Stays("t", w.now); ok {
				w.t.Error("its process is still waited for")
			}
		},
		"what is drained leaves": func(w *world) {
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.starts("py", "t")
			w.pass(2)
			w.b.Hold(doc("t", "py", running, func(t *skalds.Task) { t.Desired = skalds.DesiredGone }), Loaded, w.now)
			w.pass(1)
			w.expect("", cancel+" t")
			w.ends("py", "t", -2, "")
			w.pass(1)
			w.expect("t drained", "")
		},
		"the last word of a former run does not count for one that a script has begun": func(w *world) {
			w.keys["t"] = skalds.OriginalTask{Found: true, Value: -1, Left: time.Hour}
			w.b.Hold(doc("t", "py"), Adopted, w.now)
			w.pass(5)
			w.expect("", "")
			w.starts("py", "t")
			w.pass(1)
			w.expect("t runs", "")
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.ends("py", "t", 200, "")
			w.pass(1)
			w.expect("t finished", "")
		},
		"what nobody knows is asked about": func(w *world) {
			w.starts("py", "x")
			w.pass(6)
			w.expect("", "")
			w.pass(4)
			w.expect("x stranger", "")
			w.b.Expel("x", "py", w.now)
			w.pass(1)
			w.expect("", cancel+" x")
		},
		"a task that is here by the store and on the list of another node": func(w *world) {
			w.b.Hold(doc("t", "py", running), Loaded, w.now)
			w.starts("py", "t")
			w.nodes["other"] = &pythonNode{runs: map[string]*pythonWorker{"t": {mute: true}}}
			w.pass(12)
			w.expect("other online=true, t stranger", "")
		},
		"a task of the node's own file": func(w *world) {
			own := func(change ...func(*skalds.Task)) *skalds.Task {
				t := doc("t", "py", running, func(t *skalds.Task) { t.Mode = skalds.ModeActive })
				for _, c := range change {
					c(t)
				}
				return t
			}
			w.b.Hold(own(), Loaded, w.now)
			w.starts("py", "t")
			w.pass(20)
			w.expect("", "")
			w.b.Hold(own(func(t *skalds.Task) { t.DesiredRevision, t.Desired = 2, skalds.DesiredGone }), Loaded, w.now)
			w.pass(2)
			w.expect("", update+" t")
			w.nodes["py"].runs["t"].mute = true
			w.pass(40) // it starts it again when it likes
			w.expect("", "")
			w.ends("py", "t", -1, "no such camera")
			w.pass(1)
			w.expect("t failed", "")
		},
		"another leader knows nothing": func(w *world) {
			w.b.Hold(doc("t", "py"), Handed, w.now)
			w.b.Clear()
			w.pass(30)
			w.expect("", "")
		},
	} {
		t.Run(name, func(t *testing.T) { play(newWorld(t, "py")) })
	}
}

func TestWhichNodesBeat(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.nodes["a"].dead = true
	w.pass(9)
	if got := w.b.Beating(); !slices.Equal(got, []string{"b"}) || !w.b.Online("a") {
		t.Errorf("beating %v, a is online: %v", got, w.b.Online("a"))
	}
}

func TestNodesThatDiedBeforeAreNoNews(t *testing.T) {
	b := New(DefaultConfig())
	for i := range 30 {
		now := noon.Add(time.Duration(i) * time.Second)
		if got := b.Hear([]skalds.OriginalNode{{ID: "py", Mode: skalds.NodeModeNode, Tasks: []string{"t"}, ListedAt: 7}}, now); len(got) != 0 {
			t.Fatalf("told %v", got)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Lease: 8 * time.Second}.Validate()
	for _, field := range []string{"sync", "lease", "start", "leave", "join", "gap", "tries"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
}
