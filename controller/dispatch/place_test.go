package dispatch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const (
	mib = 1 << 20
	gib = 1 << 30
)

func worker(ref string, classes ...skalds.ClassInfo) skalds.WorkerInfo {
	name, version, err := skalds.SplitRef(ref)
	if err != nil {
		panic(err)
	}
	return skalds.WorkerInfo{Name: name, Version: version, Classes: classes}
}

func demo() skalds.ClassInfo { return skalds.ClassInfo{ClassName: "Demo"} }

// beat is a heartbeat of a node with 8 cores and 8 GiB.
func beat(id string, change ...func(*skalds.Heartbeat)) *skalds.Heartbeat {
	hb := &skalds.Heartbeat{NodeID: id, Incarnation: 1, Capacity: skalds.Capacity{CPUCores: 8, MemoryBytes: 8 * gib}}
	for _, c := range change {
		c(hb)
	}
	return hb
}

// instance is a running process of a task in a heartbeat.
func instance(task string, cpu float64, memory int64) skalds.InstanceStatus {
	return skalds.InstanceStatus{
		TaskID: task, ClassName: "Demo", Epoch: 1, Attempt: 1, State: skalds.Running, PID: 7, Worker: "demo@1.0.0",
		Usage: skalds.Usage{CPUCores: cpu, MemoryBytes: memory},
	}
}

// join makes a node known that may get tasks.
func join(l *Ledger, hb *skalds.Heartbeat, workers ...skalds.WorkerInfo) {
	if len(workers) == 0 {
		workers = []skalds.WorkerInfo{worker("demo@1.0.0", demo())}
	}
	l.SetWorkers(hb.NodeID, workers)
	l.Observe(hb, noon)
	l.Block(hb.NodeID, "", false)
}

func request(id string, change ...func(*skalds.Task)) Request {
	t := &skalds.Task{Spec: skalds.Spec{ID: id, ClassName: "Demo"}}
	for _, c := range change {
		c(t)
	}
	return NewRequest(t)
}

func asks(cpu float64, memory int64) func(*skalds.Task) {
	return func(t *skalds.Task) { t.Resources = skalds.Resources{CPUCores: cpu, MemoryBytes: memory} }
}

func TestWhatANodeMustSatisfy(t *testing.T) {
	limited := demo()
	limited.MaxPerNode = 1
	for _, tt := range []struct {
		name    string
		node    func(l *Ledger)
		task    func(*skalds.Task)
		request func(*Request)
		refused string // part of the refusal; empty: taken
	}{
		{name: "room", node: func(l *Ledger) { join(l, beat("n")) }},
		{name: "no hello", node: func(l *Ledger) {
			l.SetWorkers("n", []skalds.WorkerInfo{worker("demo@1.0.0", demo())})
			l.Observe(beat("n"), noon)
		}, refused: "has not said hello yet"},
		{name: "no heartbeat", node: func(l *Ledger) {
			l.SetWorkers("n", []skalds.WorkerInfo{worker("demo@1.0.0", demo())})
			l.Block("n", "", false)
		}, refused: "has not said yet what it has"},
		{name: "cordoned", node: func(l *Ledger) { join(l, beat("n")); l.Block("n", "is cordoned", true) }, refused: "is cordoned"},
		{
			name: "draining, bound to it", node: func(l *Ledger) { join(l, beat("n")); l.Block("n", "is draining", true) },
			request: func(r *Request) { r.Bound = "n" },
		},
		{
			name: "lost, bound to it", node: func(l *Ledger) { join(l, beat("n")); l.Block("n", "is lost", false) },
			request: func(r *Request) { r.Bound = "n" }, refused: "is lost",
		},
		{name: "bound to another", node: func(l *Ledger) { join(l, beat("n")) }, request: func(r *Request) { r.Bound = "m" }, refused: "bound to (m)"},
		{name: "another class", node: func(l *Ledger) { join(l, beat("n"), worker("x@1.0.0", skalds.ClassInfo{ClassName: "Other"})) }, refused: "has no worker for class Demo"},
		{
			name: "another version", node: func(l *Ledger) { join(l, beat("n"), worker("demo@1.0.0", demo()), worker("demo@1.1.0", demo())) },
			task: func(t *skalds.Task) { t.Version = "^2" }, refused: "has class Demo in demo@1.1.0, demo@1.0.0 only, version ^2 is asked for",
		},
		{name: "the version", node: func(l *Ledger) { join(l, beat("n"), worker("demo@2.3.0", demo())) }, task: func(t *skalds.Task) { t.Version = "^2" }},
		{name: "a prerelease", node: func(l *Ledger) { join(l, beat("n"), worker("demo@2.0.0-rc.1", demo())) }, refused: "only prereleases"},
		{
			name: "a prerelease by name", node: func(l *Ledger) { join(l, beat("n"), worker("demo@2.0.0-rc.1", demo())) },
			task: func(t *skalds.Task) { t.Version = "2.0.0-rc.1" },
		},
		{
			name: "a label", node: func(l *Ledger) {
				join(l, beat("n", func(hb *skalds.Heartbeat) { hb.Labels = map[string]string{"zone": "a", "gpu": "1"} }))
			},
			task: func(t *skalds.Task) { t.Constraints = []string{"zone=a", "gpu", "arch!=arm64"} },
		},
		{
			name: "a label that is missing", node: func(l *Ledger) { join(l, beat("n")) },
			task: func(t *skalds.Task) { t.Constraints = []string{"zone=a"} }, refused: "does not satisfy the constraint zone=a",
		},
		{
			name: "the most of a class", node: func(l *Ledger) {
				join(l, beat("n"), worker("demo@1.0.0", limited))
				l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "old", ClassName: "Demo"}, Executor: "n"}, noon)
			}, refused: "runs 1 of at most 1 tasks of class Demo",
		},
		{
			name: "the most of a class, with one whose process is still there", node: func(l *Ledger) {
				join(l, beat("n", func(hb *skalds.Heartbeat) { hb.Instances = []skalds.InstanceStatus{instance("ended", 0, mib)} }), worker("demo@1.0.0", limited))
			}, refused: "runs 1 of at most 1 tasks of class Demo",
		},
		{
			name: "the most of a class, itself", node: func(l *Ledger) {
				join(l, beat("n"), worker("demo@1.0.0", limited))
				l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "t", ClassName: "Demo"}, Executor: "n"}, noon)
			},
		},
		{
			name: "isolation", node: func(l *Ledger) {
				join(l, beat("n", func(hb *skalds.Heartbeat) {
					hb.Isolation = skalds.NodeAbilities{skalds.AbilityLandlock: "", skalds.AbilityUID: "only root can change users"}
				}))
			},
			task: func(t *skalds.Task) { t.Isolation.Paths = &skalds.Paths{} },
		},
		{
			name: "isolation that it cannot give", node: func(l *Ledger) {
				join(l, beat("n", func(hb *skalds.Heartbeat) {
					hb.Isolation = skalds.NodeAbilities{skalds.AbilityLandlock: "the kernel has none", skalds.AbilityUID: ""}
				}))
			},
			task: func(t *skalds.Task) {
				t.Isolation = skalds.Isolation{User: "1000", Paths: &skalds.Paths{ReadOnly: []string{"/data"}}}
			}, refused: "lacks what the task needs: landlock: the kernel has none",
		},
		{
			name: "isolation, on a host that does not know of it", node: func(l *Ledger) { join(l, beat("n")) },
			task: func(t *skalds.Task) { t.Isolation.NoNewPrivileges = true }, refused: "lacks what the task needs: no_new_privs: its host has not said that it can",
		},
		{name: "memory", node: func(l *Ledger) { join(l, beat("n")) }, task: asks(0, 9*gib), refused: "has 8192 MiB of memory free, 9216 MiB are needed"},
		{name: "all of its memory", node: func(l *Ledger) { join(l, beat("n")) }, task: asks(0, 8*gib)},
		{name: "CPU", node: func(l *Ledger) { join(l, beat("n")) }, task: asks(8.5, 0), refused: "has 8.00 cores free, 8.50 are needed"},
		{
			name: "CPU that nobody asked for", node: func(l *Ledger) {
				join(l, beat("n", func(hb *skalds.Heartbeat) { hb.Foreign.CPUCores = 8 }))
			},
		},
		{
			name: "CPU promised too often", node: func(l *Ledger) {
				join(l, beat("n"))
				l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "big", ClassName: "Demo", Resources: skalds.Resources{CPUCores: 32}}, Executor: "n"}, noon)
			}, refused: "has its CPU promised 4.0 times over",
		},
		{
			name: "it failed there a moment ago", node: func(l *Ledger) { join(l, beat("n")) },
			request: func(r *Request) { r.Avoid, r.AvoidWholly = []string{"n"}, true }, refused: "failed or refused the task a moment ago",
		},
		{name: "it failed there, and there is no other", node: func(l *Ledger) { join(l, beat("n")) }, request: func(r *Request) { r.Avoid = []string{"n"} }},
		{
			name: "it said why", node: func(l *Ledger) { join(l, beat("n")) },
			request: func(r *Request) {
				r.Avoid, r.AvoidWholly, r.Said = []string{"n"}, true, map[string]string{"n": "no such user"}
			}, refused: "failed or refused the task a moment ago: no such user",
		},
		{name: "nobody is asked", node: func(l *Ledger) { join(l, beat("n")) }, request: func(r *Request) { r.Held = true }, refused: "is not asked yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLedger(DefaultConfig())
			tt.node(l)
			task := tt.task
			if task == nil {
				task = func(*skalds.Task) {}
			}
			r := request("t", task)
			if tt.request != nil {
				tt.request(&r)
			}
			why := l.Explain(&r, noon)
			if len(why) != 1 || why[0].NodeID != "n" {
				t.Fatalf("explained by %+v", why)
			}
			if got := why[0].Refused; (got == "") != (tt.refused == "") || !strings.Contains(got, tt.refused) {
				t.Errorf("refused with %q, want %q", got, tt.refused)
			}
			v, ok := l.Place(&r, noon)
			if ok != (tt.refused == "") {
				t.Errorf("placed: %v (%+v): the explanation says otherwise", ok, v)
			}
			if ok && (v.NodeID != "n" || l.On("t") != "n") {
				t.Errorf("placed on %q, entered on %q", v.NodeID, l.On("t"))
			}
		})
	}
}

func TestRealFreeCapacity(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("n", func(hb *skalds.Heartbeat) { hb.Foreign = skalds.Usage{CPUCores: 1, MemoryBytes: gib} }))
	free := func(cpu float64, memory int64) {
		t.Helper()
		got := l.Free("n")
		if d := got.CPUCores - cpu; d > 1e-9 || d < -1e-9 || got.MemoryBytes != memory {
			t.Errorf("free: %.2f cores, %d MiB, want %.2f, %d MiB", got.CPUCores, got.MemoryBytes/mib, cpu, memory/mib)
		}
	}
	observe := func(instances ...skalds.InstanceStatus) {
		l.Observe(beat("n", func(hb *skalds.Heartbeat) {
			hb.Foreign, hb.Instances = skalds.Usage{CPUCores: 1, MemoryBytes: gib}, instances
		}), noon)
	}
	free(7, 7*gib) // capacity − foreign
	r := request("a", asks(2, 2*gib))
	if _, ok := l.Place(&r, noon); !ok {
		t.Fatal("no room")
	}
	free(5, 5*gib) // − a reservation that no measurement shows
	observe(instance("a", 0.5, gib))
	free(5, 5*gib) // measured less than expected: it may still take it
	observe(instance("a", 3, 3*gib))
	free(4, 4*gib) // measured more
	observe()
	free(5, 5*gib) // its process is between two attempts
	observe(instance("a", 3, 3*gib), instance("stranger", 1, gib))
	free(3, 3*gib) // a process that nobody handed out here counts too
	l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "stranger", ClassName: "Demo", Resources: skalds.Resources{CPUCores: 1, MemoryBytes: gib}}, Executor: "n"}, noon)
	free(3, 3*gib) // and is not counted twice when it is
	if !l.Release("a") || l.Release("a") {
		t.Error("released not exactly once")
	}
	free(6, 6*gib)
	l.Release("stranger")
	free(7, 7*gib)
	l.Observe(beat("n", func(hb *skalds.Heartbeat) { hb.Foreign = skalds.Usage{CPUCores: 3, MemoryBytes: 2 * gib} }), noon)
	free(6.4, 7*gib-3*gib/10) // what others use is smoothed: three tenths of the change
}

func TestATaskIsOnOneNodeAtMost(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("a"))
	join(l, beat("b"))
	task := &skalds.Task{Spec: skalds.Spec{ID: "t", ClassName: "Demo", Resources: skalds.Resources{MemoryBytes: gib}}, Executor: "a"}
	l.Hold(task, noon)
	l.Hold(task, noon)
	if got := l.Free("a").MemoryBytes; got != 7*gib {
		t.Errorf("entered twice: %d MiB free", got/mib)
	}
	task.MemoryLimit = 2 * gib
	l.Hold(task, noon)
	if got := l.Free("a").MemoryBytes; got != 6*gib {
		t.Errorf("its limit was raised: %d MiB free", got/mib)
	}
	task.Executor, task.MemoryLimit = "b", 0
	l.Hold(task, noon)
	if a, b := l.Free("a").MemoryBytes, l.Free("b").MemoryBytes; a != 8*gib || b != 7*gib || l.On("t") != "b" {
		t.Errorf("moved: %d and %d MiB free, on %q", a/mib, b/mib, l.On("t"))
	}
	l.Forget("b")
	r := request("u")
	if v, ok := l.Place(&r, noon); !ok || v.NodeID != "a" || l.On("t") != "" {
		t.Errorf("after the node was forgotten: %+v %v, on %q", v, ok, l.On("t"))
	}
}

func TestFitAndSpread(t *testing.T) {
	for strategy, want := range map[Strategy][]string{
		Fit:    {"a", "a", "a", "a", "b"}, // until it is full
		Spread: {"b", "c", "a", "b", "c"},
	} {
		t.Run(string(strategy), func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Strategy = strategy
			l := NewLedger(cfg)
			for _, id := range []string{"a", "b", "c"} {
				join(l, beat(id))
			}
			l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "first", ClassName: "Demo", Resources: skalds.Resources{CPUCores: 0.5, MemoryBytes: gib}}, Executor: "a"}, noon)
			for i, node := range want {
				r := request(fmt.Sprint(i), asks(1, 1700*mib))
				if v, ok := l.Place(&r, noon); !ok || v.NodeID != node {
					t.Errorf("task %d: on %q (%v), want %q", i, v.NodeID, ok, node)
				}
			}
		})
	}
}

func TestOthersFirstAfterAFailure(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("a"))
	join(l, beat("b"))
	r := request("t")
	r.Avoid = []string{"a"}
	if v, _ := l.Place(&r, noon); v.NodeID != "b" {
		t.Errorf("on %q, where it failed", v.NodeID)
	}
	l.Block("b", "is offline", false)
	if v, ok := l.Place(&r, noon); !ok || v.NodeID != "a" {
		t.Errorf("on %q (%v): there is no other", v.NodeID, ok)
	}
	r.AvoidWholly = true
	if v, ok := l.Place(&r, noon); ok {
		t.Errorf("on %q, a moment after it failed there", v.NodeID)
	}
}

// Whoever was not asked yet comes first, then whoever was asked longest ago.
func TestNodesThatRefusedAreAskedInTurn(t *testing.T) {
	l := NewLedger(DefaultConfig())
	for _, id := range []string{"a", "b", "c", "d"} {
		join(l, beat(id))
	}
	r := request("t", func(t *skalds.Task) {
		t.Refusals, t.AvoidNode = []skalds.Refusal{{Node: "c", Why: "no"}, {Node: "a"}, {Node: "b"}}, "b"
	})
	if len(r.Said) != 1 || r.Said["c"] != "no" {
		t.Errorf("said %v", r.Said)
	}
	for _, want := range []string{"d", "c", "a", "b"} {
		if v, ok := l.Place(&r, noon); !ok || v.NodeID != want {
			t.Errorf("on %q (%v), want %q", v.NodeID, ok, want)
		}
		l.Block(want, "is offline", false)
	}
}

func TestNodesThatMustShareTheirCPUComeLast(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("busy", func(hb *skalds.Heartbeat) { hb.Foreign.CPUCores = 8 }))
	join(l, beat("idle"))
	r := request("t")
	v, _ := l.Place(&r, noon)
	if why := l.Explain(&r, noon); v.NodeID != "idle" || why[0].NodeID != "idle" || why[1].Score >= 0 {
		t.Errorf("on %q, explained by %+v", v.NodeID, why)
	}
}

func TestTheNextTaskLooksAtOtherNodes(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxScored = 2
	l := NewLedger(cfg)
	for i := range 6 {
		join(l, beat(fmt.Sprint(i)))
	}
	used := map[string]bool{}
	for i := range 3 {
		r := request(fmt.Sprint("t", i))
		v, _ := l.Place(&r, noon)
		used[v.NodeID] = true
	}
	if len(used) != 3 {
		t.Errorf("three tasks came to %v", used)
	}
}

func TestExplainListsEveryNode(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("full", func(hb *skalds.Heartbeat) { hb.Foreign.MemoryBytes = 8 * gib }))
	join(l, beat("roomy"))
	join(l, beat("better"))
	join(l, beat("other"), worker("x@1.0.0", skalds.ClassInfo{ClassName: "Other"}))
	l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "u", ClassName: "Demo", Resources: skalds.Resources{CPUCores: 1, MemoryBytes: gib}}, Executor: "better"}, noon)
	r := request("t")
	var got []string
	for _, v := range l.Explain(&r, noon) {
		got = append(got, fmt.Sprint(v.NodeID, " ", v.Refused == "", " ", v.Worker))
	}
	want := []string{"better true demo@1.0.0", "roomy true demo@1.0.0", "full false demo@1.0.0", "other false "}
	if strings.Join(got, "|") != strings.Join(want, "|") && strings.Join(got, "|") != strings.Join([]string{want[0], want[1], want[3], want[2]}, "|") {
		t.Errorf("explained %q, want %q", got, want)
	}
	if l.On("t") != "" {
		t.Error("an explanation has placed the task")
	}
}

func TestWhyInOneLine(t *testing.T) {
	refused := func(texts ...string) (out []Verdict) {
		for i, s := range texts {
			out = append(out, Verdict{NodeID: fmt.Sprint("n", i), Refused: s})
		}
		return out
	}
	for want, verdicts := range map[string][]Verdict{
		"no node has joined yet":               nil,
		"":                                     {{NodeID: "n"}, {NodeID: "m", Refused: "is lost"}},
		"no node can take it: node n0 is lost": refused("is lost"),
		"no node can take it: 2 nodes: is lost; node n1 is full":                     refused("is lost", "is full", "is lost"),
		"no node can take it: 2 nodes: a; node n0 x; node n1 y; and 1 other reasons": refused("x", "y", "z", "a", "a"),
	} {
		if got := Why(verdicts); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestMissingTasks(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("n"))
	hold := func(id string) {
		l.Hold(&skalds.Task{Spec: skalds.Spec{ID: id, ClassName: "Demo"}, Executor: "n"}, noon)
	}
	observe := func(times int, ids ...string) (missing int) {
		for range times {
			l.Observe(beat("n", func(hb *skalds.Heartbeat) {
				for _, id := range ids {
					hb.Instances = append(hb.Instances, instance(id, 0, mib))
				}
			}), noon)
			if l.Missing("n") {
				missing++
			}
		}
		return missing
	}
	hold("a")
	if n := observe(10, "a"); n != 0 {
		t.Errorf("missing %d times while it is there", n)
	}
	if n := observe(missingBeats - 1); n != 0 {
		t.Errorf("missing %d times while the word of its end may be under way", n)
	}
	if n := observe(1 + missingBeats); n != 2 {
		t.Errorf("missing %d times, want once every %d heartbeats", n, missingBeats)
	}
	l.Release("a")
	hold("b")
	if n := observe(undeliveredBeats - 1); n != 0 {
		t.Errorf("missing %d times while its command may be under way", n)
	}
	if n := observe(1); n != 1 {
		t.Error("never missed")
	}
	if l.Missing("unknown") {
		t.Error("a node nobody knows lacks something")
	}
}

// BenchmarkPlace10k decides for one task among 10,000 nodes that are half full.
func BenchmarkPlace10k(b *testing.B) {
	l, requests := tenThousandNodes(asks(0.1, 64*mib))
	placeAll(b, l, requests)
}

func tenThousandNodes(ask func(*skalds.Task)) (*Ledger, []Request) {
	l := NewLedger(DefaultConfig())
	for i := range 10_000 {
		id := fmt.Sprintf("node-%05d", i)
		join(l, beat(id, func(hb *skalds.Heartbeat) {
			hb.Foreign.MemoryBytes = int64(i%7) * gib
			hb.Labels = map[string]string{"zone": string(rune('a' + i%3))}
		}))
	}
	requests := make([]Request, 4096)
	for i := range requests {
		requests[i] = request(fmt.Sprint("t", i), ask, func(t *skalds.Task) {
			if i%4 == 0 {
				t.Constraints = []string{"zone=b"}
			}
		})
	}
	return l, requests
}

func placeAll(b *testing.B, l *Ledger, requests []Request) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := &requests[i%len(requests)]
		if _, ok := l.Place(r, noon); !ok { // what was placed 4096 decisions ago leaves
			b.Fatal("no room")
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "placements/s")
}

// After an end for memory, a task goes where there is as much as the raised limit, or waits and says for what.
func TestARaisedLimitNeedsABiggerNode(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("small", func(hb *skalds.Heartbeat) { hb.Capacity.MemoryBytes = gib }))
	join(l, beat("big"))
	limited := func(raised int64) Request {
		return request("t", func(t *skalds.Task) { t.Limits.MemoryBytes, t.MemoryLimit = 512*mib, raised })
	}
	first := limited(0)
	if v, ok := l.Place(&first, noon); !ok || v.NodeID != "small" {
		t.Fatalf("at first: %+v, %v", v, ok)
	}
	l.Release("t")
	raised := limited(2 * gib)
	if v, ok := l.Place(&raised, noon); !ok || v.NodeID != "big" || v.Needs.MemoryBytes != 2*gib || l.Free("big").MemoryBytes != 6*gib {
		t.Errorf("raised to 2 GiB: %+v, %v", v, ok)
	}
	if first.Shape() == raised.Shape() {
		t.Error("both stand in one line")
	}
	l.Release("t")
	most := limited(9 * gib)
	if v, ok := l.Place(&most, noon); ok {
		t.Fatalf("raised to 9 GiB: %+v", v)
	}
	if why := Why(l.Explain(&most, noon)); !strings.Contains(why, "9216 MiB are needed: the memory limit was raised to that after ends for memory") {
		t.Errorf("it waits because %s", why)
	}
}
