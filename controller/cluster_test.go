package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// world is a controller with its ports in memory, inside a bubble of fake time.
type world struct {
	python *pythons // nil: no Python node
	t      *testing.T
	store  *controllertest.Store
	bus    *controllertest.Bus
	cfg    controller.Config
	wrap   func(controller.Store) controller.Store // nil: the store as it is
	*controller.Controller
	stop  func()
	hosts []*controllertest.Host
}

// inWorld runs a test in fake time; everything is gone when it returns.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, store: controllertest.NewStore(), bus: controllertest.NewBus(), cfg: controller.DefaultConfig()}
		w.cfg.ServerURL = "http://controller.example:8000/"
		w.start()
		defer func() {
			for _, h := range w.hosts {
				h.Kill()
			}
			w.stop()
		}()
		test(t, w)
	})
}

// start starts a controller over what the store holds.
func (w *world) start() {
	w.t.Helper()
	var store controller.Store = w.store
	if w.wrap != nil {
		store = w.wrap(store)
	}
	var bus controller.Bus = w.bus
	var beats controller.HeartbeatStore = w.bus.Beats()
	if w.python != nil {
		bus, beats = w.python, pythonBeats{w.bus.Beats(), w.python}
	}
	c, err := controller.New(w.cfg, store, bus, beats, nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Controller = c
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("run: %v", err)
		}
	}
	synctest.Wait()
}

func (w *world) host(id string, workers ...skalds.WorkerInfo) *controllertest.Host {
	if len(workers) == 0 {
		workers = []skalds.WorkerInfo{controllertest.Worker("demo", "1.0.0", "Demo")}
	}
	h := controllertest.NewHost(w.bus, id, workers...)
	w.hosts = append(w.hosts, h)
	return h
}

// startHost starts a host and waits until it may get tasks.
func (w *world) startHost(h *controllertest.Host) *controllertest.Host {
	w.t.Helper()
	h.Start()
	w.await("hello of "+h.ID, func() bool {
		for _, m := range h.Received() {
			if m.Answer != nil && m.Answer.Incarnation == h.Incarnation() {
				return true
			}
		}
		return false
	})
	return h
}

func (w *world) create(id string, change ...func(*skalds.Spec)) controller.TaskView {
	w.t.Helper()
	spec := skalds.Spec{ID: id, ClassName: "Demo"}
	for _, c := range change {
		c(&spec)
	}
	v, created, err := w.Tasks().Create(w.t.Context(), controller.CreateRequest{Spec: spec, Who: "test"})
	if err != nil || !created {
		w.t.Fatalf("create %s: created %v, %v", id, created, err)
	}
	return v
}

func (w *world) task(id string) *skalds.Task {
	w.t.Helper()
	v, err := w.Tasks().Task(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("read task %s: %v", id, err)
	}
	return v.Task
}

// await lets fake time pass until a condition holds, at most two simulated minutes.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	for range 12_000 {
		synctest.Wait()
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("%s: not within two minutes", what)
}

func (w *world) awaitState(id string, s skalds.State) *skalds.Task {
	w.t.Helper()
	var t *skalds.Task
	for range 12_000 {
		synctest.Wait()
		if t = w.task(id); t.LifecycleStatus == s {
			return t
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("task %s is %s on %q (epoch %d, waiting %q, exception %q), not %s", id, t.LifecycleStatus, t.Executor, t.Epoch, t.Waiting, t.Exception, s)
	return nil
}

func forever(skalds.Command, int) controllertest.Plan { return controllertest.Plan{Runs: -1} }

func TestTaskRunsAndFinishes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.startHost(w.host("n1"))
		h.Behave = func(skalds.Command, int) controllertest.Plan {
			return controllertest.Plan{Runs: time.Second, Result: json.RawMessage(`{"n":1}`)}
		}
		v := w.create("t1")
		if v.LifecycleStatus != skalds.Created && v.LifecycleStatus != skalds.Assigning {
			t.Errorf("a new task is %s", v.LifecycleStatus)
		}
		begun := time.Now()
		running := w.awaitState("t1", skalds.Running)
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("created to running took %s of simulated time: something polls", took)
		}
		if running.Executor != "n1" || running.Epoch != 1 || running.Attempt != 1 || running.AckedRevision != running.DesiredRevision {
			t.Errorf("running as %+v", running)
		}
		done := w.awaitState("t1", skalds.Finished)
		if done.LastExit == nil || done.LastExit.Kind != skalds.ExitCompleted || done.EndedAt == 0 || string(done.Result) != `{"n":1}` {
			t.Errorf("finished as %+v with exit %+v", done, done.LastExit)
		}
		w.await("acknowledgements", func() bool { return h.Open() == 0 })
		attempts, err := w.Tasks().Attempts(t.Context(), "t1")
		if err != nil || len(attempts) != 1 || attempts[0].Exit.Kind != skalds.ExitCompleted {
			t.Errorf("attempts: %+v, %v", attempts, err)
		}
		if n := h.Starts("t1"); n != 1 {
			t.Errorf("started %d times", n)
		}
	})
}

func TestManyTasksFinishOnceEach(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.startHost(w.host("n1")), w.startHost(w.host("n2"))
		for i := range 500 {
			w.create(fmt.Sprintf("t%d", i))
		}
		for i := range 500 {
			id := fmt.Sprintf("t%d", i)
			w.awaitState(id, skalds.Finished)
			if n := a.Starts(id) + b.Starts(id); n != 1 {
				t.Errorf("%s was started %d times", id, n)
			}
		}
	})
}
