package controller_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// pythons is a Python node in memory, "py": it reads the store at an event, runs what is its own, and writes keys.
type pythons struct {
	*controllertest.Bus
	store *controllertest.Store

	mu     sync.Mutex // guards all below
	dead   bool
	deaf   bool // it takes no event
	away   bool // its keys cannot be read
	runs   map[string]*pythonRun
	keys   map[string]skalds.OriginalTask
	listed []string
	at     time.Time
	events []string
	starts map[string]int
	twice  int // how often it was told to start what it has

	stubborn time.Duration // how long its processes take to leave
}

// pythonRun is a process.
type pythonRun struct {
	beatAt  time.Time
	updates int
}

type pythonBeats struct {
	*controllertest.Beats
	*pythons
}

func (b pythonBeats) Ping(ctx context.Context) error { return b.Beats.Ping(ctx) }

// withPython is inWorld with such a node, which offers Demo and Count.
func withPython(t *testing.T, test func(t *testing.T, w *world, py *pythons)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		py := &pythons{Bus: w.bus, store: w.store, runs: map[string]*pythonRun{}, keys: map[string]skalds.OriginalTask{}, starts: map[string]int{}}
		w.python = py
		w.cfg.Originals = true
		w.start()
		w.await("the Python node is online", func() bool {
			v, err := w.Nodes().Node(t.Context(), "py")
			return err == nil && v.Online
		})
		test(t, w, py)
	})
}

func (p *pythons) locked(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
}

func (p *pythons) PublishEvent(ctx context.Context, topic, _ string, e skalds.TaskEvent) error {
	for _, id := range e.TaskIDs {
		task, err := p.store.Task(ctx, id)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.events = append(p.events, topic+" "+id)
		run := p.runs[id]
		switch {
		case p.dead || p.deaf:
		case topic == skalds.TopicTaskAssign && run != nil: // the original resets the state of what it has
			p.keys[id] = skalds.OriginalTask{Found: true, Value: 7}
			p.twice++
		case topic == skalds.TopicTaskAssign && task.Executor == "py" && task.Source != "":
			p.runs[id] = &pythonRun{}
			p.starts[id]++
		case topic == skalds.TopicTaskUpdate && run != nil && task.Executor == "py":
			run.updates++
		case topic == skalds.TopicTaskCancel && run != nil && p.stubborn > 0:
			time.AfterFunc(p.stubborn, func() {
				p.locked(func() {
					if p.runs[id] == run {
						p.endLocked(id, skalds.OriginalCancelled, "")
					}
				})
			})
		case topic == skalds.TopicTaskCancel && run != nil:
			p.endLocked(id, skalds.OriginalCancelled, "")
		}
		p.mu.Unlock()
	}
	return nil
}

func (p *pythons) endLocked(id string, value int, exception string) {
	delete(p.runs, id)
	p.keys[id] = skalds.OriginalTask{Found: true, Value: value, Left: time.Hour, Exception: exception}
}

// end has a process say a last word and leave.
func (p *pythons) end(id string, value int, exception string) {
	p.locked(func() { p.endLocked(id, value, exception) })
}

var errRedisAway = errors.New("redis is away")

func (p *pythons) OriginalNodes(context.Context) ([]skalds.OriginalNode, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return nil, errRedisAway
	}
	if now := time.Now(); !p.dead && now.Sub(p.at) >= 3*time.Second {
		p.at, p.listed = now, nil
		for id := range p.runs {
			p.listed = append(p.listed, id)
		}
	}
	return []skalds.OriginalNode{{
		ID: "py", Mode: skalds.NodeModeNode, Left: max(skalds.OriginalBeat-time.Since(p.at), 0), Classes: []string{"Demo", "Count"},
		Tasks: slices.Clone(p.listed), ListedAt: p.at.UnixMilli(),
	}}, nil
}

func (p *pythons) OriginalTasks(_ context.Context, ids []string) (map[string]skalds.OriginalTask, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return nil, errRedisAway
	}
	out := map[string]skalds.OriginalTask{}
	for _, id := range ids {
		out[id] = p.keys[id]
		if r := p.runs[id]; r != nil && !p.dead {
			if now := time.Now(); now.Sub(r.beatAt) >= 3*time.Second {
				r.beatAt = now
			}
			out[id] = skalds.OriginalTask{Found: true, Value: 99, Left: skalds.OriginalBeat - time.Since(r.beatAt)}
		}
	}
	return out, nil
}

func (p *pythons) ForgetOriginalTasks(_ context.Context, ids ...string) error {
	p.locked(func() {
		for _, id := range ids {
			delete(p.keys, id)
		}
	})
	return nil
}

func (p *pythons) sent(event string) (n int) {
	p.locked(func() {
		for _, e := range p.events {
			if e == event {
				n++
			}
		}
	})
	return n
}

func count(s *skalds.Spec) { s.ClassName = "Count" }

func TestATaskOnAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		begun := time.Now()
		w.create("t", count)
		w.awaitState("t", skalds.Running)
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("running is known after %s", took)
		}
		task := w.task("t")
		if task.Executor != "py" || task.Epoch != 1 || task.AckedRevision != task.DesiredRevision || task.WorkerVersion != "python@0.3.8" || py.sent("task.assign t") != 1 {
			t.Errorf("runs as %+v after %v", task, py.events)
		}
		if v, err := w.Tasks().Task(t.Context(), "t"); err != nil || !v.Beats || v.Live != nil {
			t.Errorf("shown as %+v, %v", v, err)
		}
		if _, err := w.Tasks().Pause(t.Context(), "t", "test"); !errors.Is(err, skalds.ErrConflict) || !strings.Contains(err.Error(), "cannot pause") {
			t.Errorf("pause: %v", err)
		}
		time.Sleep(30 * time.Second)
		if _, err := w.Tasks().UpdateAttachments(t.Context(), controller.AttachmentsUpdate{TaskID: "t", Attachments: []byte(`{"a":1}`), Who: "test"}); err != nil {
			t.Fatal(err)
		}
		w.await("the update is told", func() bool { task := w.task("t"); return task.AckedRevision == task.DesiredRevision })
		time.Sleep(time.Minute)
		if n := py.sent("task.update.attachment t"); n != 1 || py.runs["t"].updates != 1 {
			t.Errorf("told of one update %d times", n)
		}
		py.end("t", skalds.OriginalFinished, "")
		w.awaitState("t", skalds.Finished)
		if task := w.task("t"); task.Executor != "" || task.Exception != "" || task.EndedAt == 0 || task.LastExit.Kind != skalds.ExitCompleted {
			t.Errorf("finished as %+v", task)
		}
		list, err := w.Tasks().Attempts(t.Context(), "t")
		if err != nil || len(list) != 1 || list[0].Node != "py" || list[0].Exit.Kind != skalds.ExitCompleted || list[0].EndedAt <= list[0].StartedAt {
			t.Errorf("attempts %+v, %v", list, err)
		}
		if py.starts["t"] != 1 || py.sent("task.cancel t") != 0 {
			t.Errorf("events %v", py.events)
		}
	})
}

func TestCancelAndRetryOnAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t", count)
		w.awaitState("t", skalds.Running)
		time.Sleep(10 * time.Second)
		v, err := w.Tasks().Cancel(t.Context(), "t", "test")
		if err != nil || v.LifecycleStatus != skalds.Cancelled || v.Executor != "" || v.AckedRevision != v.DesiredRevision {
			t.Fatalf("cancelled as %+v, %v", v.Task, err)
		}
		if _, err := w.Tasks().Retry(t.Context(), "t", "test"); !errors.Is(err, skalds.ErrConflict) || !strings.Contains(err.Error(), "may still be on Python node py") {
			t.Errorf("retry while its process leaves: %v", err)
		}
		w.await("its process is gone", func() (gone bool) {
			py.locked(func() { gone = py.runs["t"] == nil })
			return gone
		})
		w.await("a retry is taken", func() bool {
			_, err := w.Tasks().Retry(t.Context(), "t", "test")
			return err == nil
		})
		w.awaitState("t", skalds.Running) // the end of the run before is not taken for this one's
		time.Sleep(time.Minute)
		if task := w.task("t"); task.LifecycleStatus != skalds.Running || task.Run != 1 || py.starts["t"] != 2 {
			t.Errorf("%+v, started %d times", task, py.starts["t"])
		}
	})
}

func TestFailuresOnAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t", count, func(s *skalds.Spec) { s.Retry.MaxAttempts = 2 })
		w.awaitState("t", skalds.Running)
		py.end("t", skalds.OriginalFailed, "no such camera")
		w.await("the second run", func() (again bool) {
			py.locked(func() { again = py.starts["t"] == 2 })
			return again
		})
		if n := py.sent("task.assign t"); n != 2 {
			t.Errorf("assigned %d times", n)
		}
		w.awaitState("t", skalds.Running)
		py.end("t", skalds.OriginalFailed, "still no camera")
		w.awaitState("t", skalds.Failed)
		if task := w.task("t"); task.Exception != "error: still no camera" || task.BudgetUsed != 2 || task.Executor != "" || task.Epoch < 3 {
			t.Errorf("failed as %+v", task)
		}
		if list, err := w.Tasks().Attempts(t.Context(), "t"); err != nil || len(list) != 2 || list[0].Exit.Message != "no such camera" {
			t.Errorf("attempts %+v, %v", list, err)
		}
	})
}

func TestALostPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t")
		w.awaitState("t", skalds.Running)
		a := w.startHost(w.host("a"))
		a.Behave = forever
		w.create("ours")
		w.await("a task on our node", func() bool { return a.Runs("ours") })
		begun := time.Now()
		py.locked(func() { py.dead = true })
		w.await("the task runs on our node", func() bool { return a.Runs("t") })
		if took := time.Since(begun); took < 12*time.Second || took > 20*time.Second {
			t.Errorf("moved after %s", took)
		}
		if task := w.task("t"); task.BudgetUsed != 0 || task.LastExit == nil || task.LastExit.Kind != skalds.ExitNodeLost {
			t.Errorf("moved as %+v", task)
		}
		w.await("it is stored that the node is lost", func() bool {
			v, err := w.Nodes().Node(t.Context(), "py")
			return err == nil && !v.Online && v.LostAt != 0
		})
		py.locked(func() { py.dead, py.runs = false, map[string]*pythonRun{} })
		w.await("it is back", func() bool {
			v, err := w.Nodes().Node(t.Context(), "py")
			return err == nil && v.Online && v.LostAt == 0
		})
	})
}

// TestALostEndOnAPythonNode plays the original's defect that the end of a task is lost.
func TestALostEndOnAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t", count)
		for range 3 {
			w.awaitState("t", skalds.Running)
			time.Sleep(5 * time.Second)
			begun := time.Now()
			py.locked(func() { delete(py.runs, "t"); delete(py.keys, "t") })
			w.await("the run is given up", func() bool { return w.task("t").LifecycleStatus != skalds.Running })
			if took := time.Since(begun); took > 15*time.Second {
				t.Errorf("known after %s", took)
			}
		}
		time.Sleep(time.Minute)
		if task := w.task("t"); task.Quarantined == "" || !strings.Contains(task.Quarantined, "without a last word") || !strings.Contains(task.Exception, "may have finished") {
			t.Errorf("after three lost ends: %+v", task)
		}
	})
}

func TestAPythonNodeThatTakesNothing(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		py.deaf = true
		w.create("t")
		time.Sleep(18 * time.Second)
		if n := py.sent("task.assign t"); n != 3 {
			t.Errorf("assigned %d times", n)
		}
		a := w.startHost(w.host("a"))
		a.Behave = forever
		w.await("our node takes it", func() bool { return a.Runs("t") })
		if task := w.task("t"); task.BudgetUsed != 0 {
			t.Errorf("moved as %+v", task)
		}
	})
}

func TestAnotherControllerGoesOnWithAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t", count)
		w.awaitState("t", skalds.Running)
		time.Sleep(10 * time.Second)
		w.stop()
		py.end("t", skalds.OriginalFinished, "")
		time.Sleep(time.Minute)
		w.start()
		w.awaitState("t", skalds.Finished)
		w.create("u", count) // the class is known from the start
		w.awaitState("u", skalds.Running)
		w.stop()
		time.Sleep(time.Minute)
		w.start()
		time.Sleep(time.Minute)
		if task := w.task("u"); task.LifecycleStatus != skalds.Running || task.Epoch != 1 || py.starts["u"] != 1 || py.sent("task.assign u") != 1 {
			t.Errorf("after a change of controllers: %+v, %v", task, py.events)
		}
	})
}

func TestRedisIsAwayWithAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t", count)
		w.awaitState("t", skalds.Running)
		py.locked(func() { py.away = true })
		time.Sleep(5 * time.Minute)
		py.locked(func() { py.away = false })
		time.Sleep(time.Minute)
		if task := w.task("t"); task.LifecycleStatus != skalds.Running || task.Epoch != 1 {
			t.Errorf("%+v", task)
		}
		if v, err := w.Nodes().Node(t.Context(), "py"); err != nil || !v.Online {
			t.Errorf("the node is shown as %+v, %v", v, err)
		}
	})
}

// script puts a task into the store as scripts of the original do.
func (p *pythons) script(t *testing.T, id, executor string) {
	t.Helper()
	now := time.Now().UnixMilli()
	_, created, err := p.store.Create(t.Context(), &skalds.Task{
		Spec:            skalds.Spec{ID: id, ClassName: "Count", Source: "script", Mode: skalds.ModePassive, IsPersistent: true, CreateDateTime: now},
		LifecycleStatus: skalds.Created, Executor: executor, UpdateDateTime: now,
	})
	if err != nil || !created {
		t.Fatal(created, err)
	}
}

func TestTasksOfScripts(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		say := func(topic, id string) { // as a script does: the node and the controllers read it
			if err := py.PublishEvent(t.Context(), topic, id, skalds.TaskEvent{TaskIDs: []string{id}}); err != nil {
				t.Fatal(err)
			}
			w.bus.Request(topic, skalds.TaskEvent{TaskIDs: []string{id}})
		}
		py.script(t, "named", "py")
		say(skalds.TopicTaskAssign, "named")
		w.awaitState("named", skalds.Running)
		py.script(t, "unnamed", "")
		say(skalds.TopicTaskAssign, "unnamed")
		w.awaitState("unnamed", skalds.Running)
		py.script(t, "elsewhere", "nobody") // its node is not there
		say(skalds.TopicTaskAssign, "elsewhere")
		w.awaitState("elsewhere", skalds.Running)
		time.Sleep(time.Minute)
		for _, id := range []string{"named", "unnamed", "elsewhere"} {
			if task := w.task(id); task.LifecycleStatus != skalds.Running || task.Executor != "py" || task.Epoch != 1 || py.starts[id] != 1 {
				t.Errorf("%s: %+v, started %d times", id, task, py.starts[id])
			}
		}
		if n := py.sent("task.assign named"); n != 1 { // the script's own
			t.Errorf("assigned %d times: %v", n, py.events)
		}
		say(skalds.TopicTaskCancel, "named")
		w.awaitState("named", skalds.Cancelled)
		synctest.Wait()
		if task := w.task("named"); task.Executor != "" {
			t.Errorf("cancelled as %+v", task)
		}
	})
}

func TestAPythonNodeIsStopped(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t")
		w.awaitState("t", skalds.Running)
		a := w.startHost(w.host("a"))
		a.Behave = forever
		py.locked(func() { py.endLocked("t", skalds.OriginalCancelled, ""); py.dead = true }) // its program ends its workers
		w.await("it goes on elsewhere", func() bool { return a.Runs("t") })
		if task := w.task("t"); task.BudgetUsed != 0 {
			t.Errorf("moved as %+v", task)
		}
	})
}

func TestAPythonNodeIsDrained(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t")
		w.awaitState("t", skalds.Running)
		a := w.startHost(w.host("a"))
		a.Behave = forever
		if _, err := w.Nodes().Drain(t.Context(), "py", nil, "test"); err != nil {
			t.Fatal(err)
		}
		w.await("it goes on elsewhere", func() bool { return a.Runs("t") })
		var runs bool
		py.locked(func() { runs = py.runs["t"] != nil })
		if task := w.task("t"); runs || task.BudgetUsed != 0 {
			t.Errorf("moved as %+v, runs on the Python node: %v", task, runs)
		}
	})
}

// TestAWorkerHasOutlivedItsPythonNode has both before the first controller comes.
func TestAWorkerHasOutlivedItsPythonNode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		py := &pythons{
			Bus: w.bus, store: w.store, dead: true, runs: map[string]*pythonRun{}, starts: map[string]int{},
			keys: map[string]skalds.OriginalTask{"t": {Found: true, Value: 99, Left: 5 * time.Second}},
		}
		w.python, w.cfg.Originals = py, true
		now := time.Now().UnixMilli()
		_, _, err := w.store.Create(t.Context(), &skalds.Task{
			Spec:            skalds.Spec{ID: "t", ClassName: "Demo", Source: "script", Mode: skalds.ModePassive, CreateDateTime: now},
			LifecycleStatus: skalds.Running, Executor: "py", UpdateDateTime: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.start()
		a := w.startHost(w.host("a"))
		a.Behave = forever
		time.Sleep(time.Minute)
		if task := w.task("t"); task.LifecycleStatus != skalds.Running || task.Executor != "py" || a.Runs("t") {
			t.Fatalf("while its worker beats it is %s on %q", task.LifecycleStatus, task.Executor)
		}
		py.locked(func() { delete(py.keys, "t") })
		w.await("it runs on our node", func() bool { return a.Runs("t") })
	})
}

func TestAPythonNodeIsDeclaredLost(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t")
		w.awaitState("t", skalds.Running)
		a := w.startHost(w.host("a"))
		a.Behave = forever
		time.Sleep(30 * time.Second)
		if _, err := w.Nodes().DeclareLost(t.Context(), "py", false, "test"); !errors.Is(err, skalds.ErrConflict) {
			t.Errorf("one that is alive: %v", err)
		}
		py.locked(func() { py.dead = true })
		time.Sleep(12 * time.Second) // its heartbeat has expired, its lease has not
		loss, err := w.Nodes().DeclareLost(t.Context(), "py", false, "test")
		if err != nil || len(loss.Moved) != 1 {
			t.Fatalf("%+v, %v", loss, err)
		}
		w.await("it goes on elsewhere", func() bool { return a.Runs("t") })
		time.Sleep(time.Minute)
		if v, err := w.Nodes().Node(t.Context(), "py"); err != nil || v.Online || v.LostAt == 0 {
			t.Errorf("the node is shown as %+v, %v", v, err)
		}
		py.locked(func() { py.dead, py.runs = false, map[string]*pythonRun{} })
		w.await("it is back", func() bool {
			v, err := w.Nodes().Node(t.Context(), "py")
			return err == nil && v.Online && v.LostAt == 0
		})
	})
}

func TestLabelsOfAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		b := "b"
		if _, err := w.Nodes().SetLabels(t.Context(), "py", map[string]*string{"zone": &b}, false, "test"); err != nil {
			t.Fatal(err)
		}
		w.create("t", count, func(s *skalds.Spec) { s.Constraints = []string{"zone=b"} })
		w.awaitState("t", skalds.Running)
		w.create("u", count, func(s *skalds.Spec) { s.Constraints = []string{"zone=c"} })
		time.Sleep(time.Minute)
		if task := w.task("u"); task.LifecycleStatus != skalds.Created {
			t.Errorf("placed on %q", task.Executor)
		}
	})
}

// startSecond runs another controller over what the one of the world has, until end is called.
func startSecond(t *testing.T, w *world, py *pythons) (second *controller.Controller, end func()) {
	t.Helper()
	cfg := w.cfg
	cfg.ID = "second"
	second, err := controller.New(cfg, w.store, py, pythonBeats{w.bus.Beats(), py}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- second.Run(ctx) }()
	return second, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

// TestSeveralControllersAndAPythonNode has one lead and the other asked, until that one leads.
func TestSeveralControllersAndAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.stop()
		w.cfg.Alone = false
		w.start()
		second, end := startSecond(t, w, py)
		defer end()
		w.create("a", count)
		w.create("b", count)
		w.awaitState("a", skalds.Running)
		w.awaitState("b", skalds.Running)
		time.Sleep(time.Minute)
		if v, err := second.Nodes().Node(t.Context(), "py"); err != nil || !v.Online {
			t.Errorf("who does not lead shows %+v, %v", v, err)
		}
		if _, err := second.Tasks().Pause(t.Context(), "a", "test"); !errors.Is(err, skalds.ErrConflict) {
			t.Errorf("pause: %v", err)
		}
		if v, err := second.Tasks().Cancel(t.Context(), "a", "test"); err != nil || v.Executor != "" {
			t.Errorf("cancelled as %+v, %v", v.Task, err)
		}
		begun := time.Now()
		w.await("the one that leads has it ended", func() bool { return py.sent("task.cancel a") > 0 })
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("told after %s", took)
		}
		w.stop()
		defer w.start() // for the end of this world
		time.Sleep(time.Minute)
		v, err := second.Tasks().UpdateAttachments(t.Context(), controller.AttachmentsUpdate{TaskID: "b", Attachments: []byte(`{"a":1}`), Who: "test"})
		if err != nil || v.Epoch != 1 || v.LifecycleStatus != skalds.Running {
			t.Fatalf("%+v, %v", v.Task, err)
		}
		w.await("the next one tells it", func() bool { return py.sent("task.update.attachment b") > 0 })
		if n := py.sent("task.assign b"); n != 1 || py.starts["b"] != 1 {
			t.Errorf("assigned %d times, started %d times", n, py.starts["b"])
		}
	})
}

// TestARetryWaitsForTheProcessBefore has one asked for by who does not know what is leaving: a controller that does not lead, and one
// that begins to lead before the Python node has written down what it runs.
func TestARetryWaitsForTheProcessBefore(t *testing.T) {
	for name, ends := range map[string]bool{"the leader stays": false, "another one leads from then on": true} {
		t.Run(name, func(t *testing.T) {
			withPython(t, func(t *testing.T, w *world, py *pythons) {
				w.stop()
				py.locked(func() { py.stubborn = 9 * time.Second })
				w.cfg.Alone = false
				w.start()
				second, end := startSecond(t, w, py)
				defer end()
				w.create("t", count)
				w.awaitState("t", skalds.Running)
				time.Sleep(100 * time.Millisecond) // no list names it yet
				if _, err := second.Tasks().Cancel(t.Context(), "t", "test"); err != nil {
					t.Fatal(err)
				}
				if ends {
					w.stop()
					defer w.start() // for the end of this world
				}
				if _, err := second.Tasks().Retry(t.Context(), "t", "test"); err != nil {
					t.Fatalf("retry by who does not know: %v", err)
				}
				time.Sleep(time.Minute)
				py.locked(func() {
					if py.starts["t"] != 2 || py.twice != 0 {
						t.Errorf("started %d times, assigned %d times while its process was there: %v", py.starts["t"], py.twice, py.events)
					}
				})
				if task := w.task("t"); task.LifecycleStatus != skalds.Running || task.Run != 1 || task.Attempt != 1 || task.Epoch != 3 {
					t.Errorf("%+v", task)
				}
			})
		})
	}
}

func TestAHostTakesTheIDOfAPythonNode(t *testing.T) {
	withPython(t, func(t *testing.T, w *world, py *pythons) {
		w.create("t")
		w.awaitState("t", skalds.Running)
		py.locked(func() { py.dead = true })
		h := w.host("py")
		h.Behave = forever
		w.startHost(h)
		w.await("the task runs on the host", func() bool { return h.Runs("t") })
		time.Sleep(time.Minute)
		if task := w.task("t"); task.LifecycleStatus != skalds.Running || task.Executor != "py" || task.WorkerVersion != "demo@1.0.0" {
			t.Errorf("%+v", task)
		}
	})
}
