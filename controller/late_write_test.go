package controller_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// lateStore has the next handing out reach the store when its caller has long given it up.
type lateStore struct {
	controller.Store
	after time.Duration
	armed atomic.Bool
	wrote chan error // how it ended
}

func (s *lateStore) Save(ctx context.Context, t *skalds.Task) error {
	if t.LifecycleStatus != skalds.Assigning || !s.armed.CompareAndSwap(true, false) {
		return s.Store.Save(ctx, t)
	}
	late := t.Clone()
	go func() {
		time.Sleep(s.after)
		s.wrote <- s.Store.Save(context.WithoutCancel(ctx), late)
	}()
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestALateHandOutToALostNode: a node is lost and its tasks are taken back, and only then the store has one that was handed to it.
// The node never says hello again.
func TestALateHandOutToALostNode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		s := &lateStore{after: 12 * time.Second, wrote: make(chan error, 1)}
		w.wrap = func(inner controller.Store) controller.Store { s.Store = inner; return s }
		w.start()
		a := w.startHost(w.host("a"))
		a.Behave = forever
		s.armed.Store(true)
		w.create("t")
		synctest.Wait()
		if _, err := w.Nodes().Cordon(t.Context(), "a", true, "test"); err != nil { // or it is handed out there again
			t.Fatal(err)
		}
		a.Kill()
		if err := <-s.wrote; err != nil {
			t.Fatalf("the late write was not taken, so that this proves nothing: %v", err)
		}
		if n := w.task("t"); n.Executor != "a" || n.LifecycleStatus != skalds.Assigning {
			t.Fatalf("after the late write the task is %s on %q", n.LifecycleStatus, n.Executor)
		}
		b := w.startHost(w.host("b"))
		b.Behave = forever
		w.await("it runs on the node that is there", func() bool { return b.Runs("t") })
	})
}

// listSlowly takes its time to tell what is on a node.
type listSlowly struct {
	controller.Store
	takes time.Duration
	armed atomic.Bool
}

func (s *listSlowly) OnNode(ctx context.Context, node string) ([]*skalds.Task, error) {
	if s.armed.Load() {
		time.Sleep(s.takes)
	}
	return s.Store.OnNode(ctx, node)
}

// TestAnUnansweredCommandDelaysNoTakingBack: the lease of a node whose tasks are just being taken back is not counted anew because a
// command to it has no answer.
func TestAnUnansweredCommandDelaysNoTakingBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		s := &listSlowly{takes: 9 * time.Second}
		w.wrap = func(inner controller.Store) controller.Store { s.Store = inner; return s }
		w.start()
		a := w.startHost(w.host("a"))
		a.Kill()
		begun := time.Now()
		w.create("t")
		if n := w.awaitState("t", skalds.Assigning); n.Executor != "a" {
			t.Fatalf("it was handed to %q", n.Executor)
		}
		b := w.startHost(w.host("b"))
		b.Behave = forever
		s.armed.Store(true)
		w.await("it runs on the node that is there", func() bool { return b.Runs("t") })
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("it runs after %s: a lease is 6 s, and the store took 9 s", took)
		}
	})
}
