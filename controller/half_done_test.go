package controller_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// leavingStore has a client leave while its change is being stored: what was begun is stored, and the client's context is
// what the caller hears of.
type leavingStore struct {
	controller.Store
	leave atomic.Pointer[func()] // what happens before the next write
	lie   atomic.Pointer[error]  // what is said of the next write that was stored
}

func (s *leavingStore) wrote(ctx context.Context, err error) error {
	if lie := s.lie.Swap(nil); lie != nil && err == nil {
		return *lie
	}
	if err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (s *leavingStore) left() {
	if leave := s.leave.Swap(nil); leave != nil {
		(*leave)()
	}
}

func (s *leavingStore) Save(ctx context.Context, t *skalds.Task) error {
	s.left()
	return s.wrote(ctx, s.Store.Save(context.WithoutCancel(ctx), t))
}

func (s *leavingStore) SaveNode(ctx context.Context, n skalds.Node) error {
	s.left()
	return s.wrote(ctx, s.Store.SaveNode(context.WithoutCancel(ctx), n))
}

func (s *leavingStore) Create(ctx context.Context, t *skalds.Task) (*skalds.Task, bool, error) {
	s.left()
	stored, created, err := s.Store.Create(context.WithoutCancel(ctx), t)
	return stored, created, s.wrote(ctx, err)
}

// inLeavingWorld is a world with one node that runs one task at a time.
func inLeavingWorld(t *testing.T, test func(t *testing.T, w *world, s *leavingStore, h *controllertest.Host)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		s := &leavingStore{}
		w.wrap = func(inner controller.Store) controller.Store { s.Store = inner; return s }
		w.start()
		worker := controllertest.Worker("demo", "1.0.0", "Demo")
		worker.Classes[0].MaxPerNode = 1
		h := w.startHost(w.host("n1", worker))
		h.Behave = forever
		test(t, w, s, h)
	})
}

// leaver is a client whose context ends while its next change is being stored.
func (s *leavingStore) leaver(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	leave := func() { cancel() }
	s.leave.Store(&leave)
	return ctx
}

func (w *world) audited(id, action string) bool {
	w.t.Helper()
	list, err := w.store.Audits(w.t.Context(), id, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range list {
		if e.Action == action {
			return true
		}
	}
	return false
}

func answers(h *controllertest.Host) (n int) {
	for _, m := range h.Received() {
		if m.Answer != nil {
			n++
		}
	}
	return n
}

func TestAChangeIsWholeThoughItsClientLeaves(t *testing.T) {
	inLeavingWorld(t, func(t *testing.T, w *world, s *leavingStore, h *controllertest.Host) {
		if _, created, err := w.Tasks().Create(s.leaver(t), controller.CreateRequest{Spec: skalds.Spec{ID: "a", ClassName: "Demo"}, Who: "test"}); err != nil || !created {
			t.Errorf("create: created %v, %v", created, err)
		}
		begun := time.Now()
		w.awaitState("a", skalds.Running)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the new task runs after %s: only a sweep has found it", took)
		}
		w.create("b")
		if _, err := w.Tasks().Cancel(s.leaver(t), "a", "test"); err != nil {
			t.Errorf("cancel: %v", err)
		}
		begun = time.Now()
		w.await("the end of a's process", func() bool { return !h.Runs("a") })
		w.awaitState("b", skalds.Running)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("its room is given to the next task after %s", took)
		}
		for id, action := range map[string]string{"a": "create", "b": "create"} {
			if !w.audited(id, action) {
				t.Errorf("%s of %s has no audit", action, id)
			}
		}
		if !w.audited("a", "cancel") {
			t.Error("cancel of a has no audit")
		}
		hellos := answers(h)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := answers(h) - hellos; n != 0 {
			t.Errorf("the node was asked for %d hellos", n)
		}
	})
}

// TestDrainMovesAllThoughItsClientLeaves: the tasks are moved after the node was marked.
func TestDrainMovesAllThoughItsClientLeaves(t *testing.T) {
	inLeavingWorld(t, func(t *testing.T, w *world, s *leavingStore, h *controllertest.Host) {
		w.create("a")
		w.awaitState("a", skalds.Running)
		_, _ = w.Nodes().Drain(s.leaver(t), "n1", new(time.Duration), "test") // nobody hears the answer
		w.await("the end of a's process", func() bool { return !h.Runs("a") })
	})
}

// TestAHelloReleasesWhatTheStoreDoesNotHave: a store that fails after it has stored leaves a change without its effects.
func TestAHelloReleasesWhatTheStoreDoesNotHave(t *testing.T) {
	inLeavingWorld(t, func(t *testing.T, w *world, s *leavingStore, h *controllertest.Host) {
		w.create("a")
		w.awaitState("a", skalds.Running)
		w.create("b")
		fault := errors.New("the connection broke")
		s.lie.Store(&fault)
		if _, err := w.Tasks().Cancel(t.Context(), "a", "test"); !errors.Is(err, fault) {
			t.Fatalf("cancel: %v", err)
		}
		if task := w.task("a"); task.LifecycleStatus != skalds.Cancelled {
			t.Fatalf("a is %s", task.LifecycleStatus)
		}
		w.awaitState("b", skalds.Running)
		hellos := answers(h)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := answers(h) - hellos; n != 0 {
			t.Errorf("the node was asked for %d hellos after that", n)
		}
	})
}
