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
	saved atomic.Pointer[func()] // what happens after the next record of a node was stored
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
	err := s.wrote(ctx, s.Store.SaveNode(context.WithoutCancel(ctx), n))
	if saved := s.saved.Swap(nil); saved != nil {
		(*saved)()
	}
	return err
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

// TestAWriteThatWasStoredAfterAll: a write ends in a time-out, and the store has it. What follows is done as soon as the store answers.
func TestAWriteThatWasStoredAfterAll(t *testing.T) {
	const soon = 1500 * time.Millisecond
	lie := errors.New("the connection broke")
	for name, away := range map[string]time.Duration{"which answers at once": 0, "which is away for a while": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inLeavingWorld(t, func(t *testing.T, w *world, s *leavingStore, h *controllertest.Host) {
				w.create("a")
				w.awaitState("a", skalds.Running)
				// lied has do write, says that it failed, and lets the store be away for a while.
				lied := func(what string, do func() error, done func() bool) {
					t.Helper()
					s.lie.Store(&lie)
					if err := do(); !errors.Is(err, lie) {
						t.Fatalf("%s: %v", what, err)
					}
					if away > 0 {
						w.store.SetFault(func(string) error { return errors.New("the store is away") })
						time.Sleep(away)
						w.store.SetFault(nil)
					}
					begun := time.Now()
					w.await(what, done)
					if took := time.Since(begun); took > soon {
						t.Errorf("%s: done after %s", what, took)
					}
				}
				running := func(id string) func() bool {
					return func() bool { return h.Runs(id) }
				}
				lied("create", func() error {
					_, _, err := w.Tasks().Create(t.Context(), controller.CreateRequest{Spec: skalds.Spec{ID: "b", ClassName: "Demo"}, Who: "test"})
					return err
				}, func() bool { return w.task("b").Waiting != "" })
				lied("cancel", func() error { _, err := w.Tasks().Cancel(t.Context(), "a", "test"); return err }, running("b"))
				if _, err := w.Nodes().Cordon(t.Context(), "n1", true, "test"); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Tasks().Cancel(t.Context(), "b", "test"); err != nil {
					t.Fatal(err)
				}
				w.create("c")
				time.Sleep(time.Minute)
				lied("uncordon", func() error { _, err := w.Nodes().Cordon(t.Context(), "n1", false, "test"); return err }, running("c"))
			})
		})
	}
}

// TestAHandOutThatWasStoredAfterAll has the writing of the dispatcher end so.
func TestAHandOutThatWasStoredAfterAll(t *testing.T) {
	inLeavingWorld(t, func(t *testing.T, w *world, s *leavingStore, h *controllertest.Host) {
		lie := errors.New("the connection broke")
		if _, err := w.Nodes().Cordon(t.Context(), "n1", true, "test"); err != nil {
			t.Fatal(err)
		}
		w.create("a")
		w.await("it waits", func() bool { return w.task("a").Waiting != "" })
		uncordoned := func() { s.lie.Store(&lie) } // after the record of the node is stored, the next write is the hand-out
		s.saved.Store(&uncordoned)
		if _, err := w.Nodes().Cordon(t.Context(), "n1", false, "test"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		w.await("it runs", func() bool { return h.Runs("a") })
		if took := time.Since(begun); took > 1500*time.Millisecond {
			t.Errorf("it runs after %s", took)
		}
		if s.lie.Load() != nil {
			t.Error("no write has failed: this proves nothing")
		}
	})
}

// TestAHelloReleasesWhatTheStoreDoesNotHave: a store that refuses a change and has stored it leaves it without its effects.
func TestAHelloReleasesWhatTheStoreDoesNotHave(t *testing.T) {
	inLeavingWorld(t, func(t *testing.T, w *world, s *leavingStore, h *controllertest.Host) {
		w.create("a")
		w.awaitState("a", skalds.Running)
		w.create("b")
		var fault error = skalds.Errorf(skalds.CodeConflict, "no") // of an answer like that nobody thinks that the change is stored
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
