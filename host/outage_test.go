package host

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func TestAHostThatStopsGivesItsTasksBack(t *testing.T) {
	b, _, h := nodeHost(t)
	for _, id := range []string{"a", "b", "c"} {
		b.send(command(scriptSpec(id, "Script", script{Do: "wait"}), 1, 1))
	}
	b.send(command(scriptSpec("done", "Script", script{Do: "finish"}), 1, 1))
	pids := map[string]int{}
	for _, id := range []string{"a", "b", "c"} {
		pids[id] = waitRunning(t, b, id, 1).PID
	}
	eventually(t, "done", soon, func() bool { return b.last("done").State == skalds.Finished })
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	for id, pid := range pids {
		r := b.last(id)
		if r.State != skalds.Created || r.GoneFor != string(skalds.ExitHostStop) || r.BudgetUsed != 0 {
			t.Errorf("%s: %+v", id, r)
		}
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("%s: its process lives", id)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := b.seen[len(b.seen)-1]; !last.Bye {
		t.Errorf("the last word is no farewell: %+v", last)
	}
}

func TestARestartedHostKnowsWhatEnded(t *testing.T) {
	m, b := newMachine(t), newMemoryBus()
	b.noAck = true // the controller is away
	start := func() *runningHost {
		d := m.deps(t)
		d.Bus, d.Beats = b, b
		cfg := m.config()
		cfg.Edge = false
		return startHost(t, cfg, d)
	}
	h := start()
	b.greeted(t, 0)
	c := command(scriptSpec("a", "Script", script{Do: "finish"}), 5, 2)
	b.send(c)
	eventually(t, "finished", soon, func() bool { return b.last("a").State == skalds.Finished })
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	before := b.heartbeat("n1").Incarnation
	b.mu.Lock()
	b.seen, b.noAck = nil, false
	b.mu.Unlock()

	h = start()
	eventually(t, "hello", soon, func() bool { return b.helloCount() == 2 })
	eventually(t, "the open outcome again", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 1 })
	b.mu.Lock()
	first, second := b.seen[0], b.seen[1]
	b.mu.Unlock()
	if first.Report == nil || first.Report.State != skalds.Finished || first.Report.Epoch != 5 || first.Incarnation <= before {
		t.Errorf("the end comes before the hello: %+v", first.Report)
	}
	if second.Hello == nil || len(second.Hello.Tasks) != 1 || second.Hello.Tasks[0].State != skalds.Finished || second.Hello.Tasks[0].Running {
		t.Errorf("hello: %+v", second.Hello)
	}
	// The same command again is answered, not run.
	b.send(c)
	b.send(command(scriptSpec("b", "Script", script{Do: "finish"}), 1, 1))
	eventually(t, "the task after it", soon, func() bool { return b.last("b").State == skalds.Finished })
	if n := len(m.attempts("a")); n != 1 {
		t.Errorf("the finished task was run %d times", n)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}

	b.mu.Lock()
	b.seen = nil
	b.mu.Unlock()
	start()
	eventually(t, "hello", soon, func() bool { return b.helloCount() == 3 })
	if n := len(b.outcomes("a", skalds.OutcomeExit)); n != 0 {
		t.Error("an acknowledged outcome was sent again")
	}
}

func TestTasksGoOnWhileTheBusIsAway(t *testing.T) {
	b, m, _ := nodeHost(t)
	b.send(command(scriptSpec("short", "Script", script{Do: "result", N: 1}), 1, 1))
	eventually(t, "the bus works", soon, func() bool { return b.last("short").State == skalds.Finished })
	long := scriptSpec("long", "Script", script{Do: "wait"})
	long.OnDisconnect = skalds.OnDisconnectKeep
	b.send(command(long, 1, 1))
	pid := waitRunning(t, b, "long", 1).PID
	eventually(t, "in Main", soon, func() bool { return len(m.attempts("long")) == 1 })
	b.setCut(true)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "retry without a bus", soon, func() bool { return len(m.attempts("long")) == 2 })
	b.setCut(false)
	eventually(t, "the news", soon, func() bool {
		return b.last("long").Attempt == 2 && len(b.outcomes("long", skalds.OutcomeExit)) == 1
	})
	eventually(t, "hello after the outage", soon, func() bool { return b.helloCount() >= 2 })
}

func TestALostLeaseKillsWhatOthersMayRun(t *testing.T) {
	m, b := newMachine(t), newMemoryBus()
	d := m.deps(t)
	d.Bus, d.Beats = b, b
	cfg := m.config()
	cfg.Edge, cfg.Heartbeat, cfg.Lease = false, 100*time.Millisecond, 1500*time.Millisecond
	startHost(t, cfg, d)
	b.greeted(t, 0)
	keep := scriptSpec("keep", "Script", script{Do: "wait"})
	keep.OnDisconnect = skalds.OnDisconnectKeep
	b.send(command(scriptSpec("stop", "Script", script{Do: "wait"}), 1, 1))
	b.send(command(keep, 1, 1))
	stopPID, keepPID := waitRunning(t, b, "stop", 1).PID, waitRunning(t, b, "keep", 1).PID
	cut := time.Now()
	b.setCut(true)
	eventually(t, "the kill", soon, func() bool { return syscall.Kill(stopPID, 0) != nil })
	t.Logf("killed %s after the cut, lease %s", time.Since(cut), cfg.Lease)
	if syscall.Kill(keepPID, 0) != nil {
		t.Error("the task that may go on was killed")
	}
	b.setCut(false)
	eventually(t, "the news", soon, func() bool {
		r := b.last("stop")
		return r.State == skalds.Created && r.GoneFor == string(skalds.ExitLeaseLost)
	})
	eventually(t, "hello", soon, func() bool { return b.helloCount() >= 2 })
	sent := time.Time{}
	eventually(t, "new work after the lease is regained", soon, func() bool {
		if time.Since(sent) > 200*time.Millisecond { // a controller sends again what is not acknowledged
			b.send(command(scriptSpec("again", "Script", script{Do: "finish"}), 1, 1))
			sent = time.Now()
		}
		return b.last("again").State == skalds.Finished
	})
}

func TestTwoHostsWithOneID(t *testing.T) {
	b, _, first := nodeHost(t)
	eventually(t, "the first beats", soon, func() bool { return b.heartbeat("n1").Seq > 0 })
	m := newMachine(t)
	d := m.deps(t)
	d.Bus, d.Beats = b, b
	cfg := m.config()
	cfg.Edge = false
	h, err := New(cfg, d, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	err = h.Run(t.Context())
	if !errors.Is(err, skalds.ErrConflict) || !strings.Contains(err.Error(), "n1") {
		t.Errorf("the second host: %v", err)
	}
	select {
	case err := <-first.done:
		t.Errorf("the first host ended: %v", err)
	default:
	}
}

func TestAControllerCanRefuseAHost(t *testing.T) {
	m, b := newMachine(t), newMemoryBus()
	d := m.deps(t)
	d.Bus, d.Beats = b, b
	cfg := m.config()
	cfg.Edge = false
	h, err := New(cfg, d, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Run(t.Context()) }()
	eventually(t, "it beats", soon, func() bool { return b.heartbeat("n1").Seq > 0 })
	b.commands <- skalds.NodeMessage{NodeID: "n1", Answer: &skalds.HelloAnswer{Incarnation: b.heartbeat("n1").Incarnation, Part: 1, Parts: 1, Refused: "another live one has its id"}}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "another live one") {
		t.Errorf("%v", err)
	}
}

func TestANewWorkerIsAnnounced(t *testing.T) {
	b, m := newMemoryBus(), &machine{dir: t.TempDir()}
	m.workers = m.dir + "/plugins"
	d := m.deps(t)
	d.Bus, d.Beats = b, b
	cfg := m.config()
	cfg.Edge = false
	startHost(t, cfg, d)
	offered := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		n := -1
		for _, m := range b.seen {
			if m.Hello != nil {
				n = len(m.Hello.Workers)
			}
		}
		return n
	}
	eventually(t, "hello of a host without workers", soon, func() bool { return offered() == 0 })
	installWorker(t, m.workers, "scripted", "1.0.0")
	eventually(t, "hello with the new worker", soon, func() bool { return offered() == 1 })
}

func TestHelloIsSplitIntoParts(t *testing.T) {
	var tasks []skalds.TaskMark
	for range 5000 {
		tasks = append(tasks, skalds.TaskMark{TaskID: strings.Repeat("x", 100)})
	}
	workers := []skalds.WorkerInfo{{Name: "a", Classes: []skalds.ClassInfo{{Schema: []byte(`"` + strings.Repeat("s", 150<<10) + `"`)}}}, {Name: "b"}}
	parts := helloParts(skalds.Hello{Mode: skalds.NodeModeNode, Partition: 3}, tasks, workers)
	var gotTasks, gotWorkers int
	for i, p := range parts {
		gotTasks += len(p.Tasks)
		gotWorkers += len(p.Workers)
		if p.Part != i+1 || p.Parts != len(parts) || p.Partition != 3 {
			t.Errorf("part %d: %d of %d", i, p.Part, p.Parts)
		}
	}
	if gotTasks != 5000 || gotWorkers != 2 || len(parts) < 4 {
		t.Errorf("%d tasks and %d workers in %d parts", gotTasks, gotWorkers, len(parts))
	}
	huge := skalds.WorkerInfo{Name: "a", Classes: []skalds.ClassInfo{{ClassName: "A", Schema: []byte(`"` + strings.Repeat("s", 300<<10) + `"`)}}}
	if parts := helloParts(skalds.Hello{}, nil, []skalds.WorkerInfo{huge}); len(parts) != 1 || len(parts[0].Workers) != 1 || parts[0].Workers[0].Classes[0].ClassName != "A" || parts[0].Workers[0].Classes[0].Schema != nil {
		t.Errorf("a worker whose schema no message has room for: %d parts", len(parts))
	}
	if n := len(helloParts(skalds.Hello{}, nil, nil)); n != 1 {
		t.Errorf("an empty hello has %d parts", n)
	}
}
