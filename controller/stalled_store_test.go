package controller_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// stalledStore answers nothing while it is stalled: each call ends after 5 s, as those of a database whose server is gone do.
type stalledStore struct {
	controller.Store
	stalled atomic.Bool
	calls   atomic.Int64 // that ended so
}

func (s *stalledStore) pass(ctx context.Context) error {
	if !s.stalled.Load() {
		return nil
	}
	s.calls.Add(1)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	<-ctx.Done()
	return skalds.Errorf(skalds.CodeUnavailable, "the server is gone")
}

func (s *stalledStore) Task(ctx context.Context, id string) (*skalds.Task, error) {
	if err := s.pass(ctx); err != nil {
		return nil, err
	}
	return s.Store.Task(ctx, id)
}

func (s *stalledStore) Queue(ctx context.Context, limit int) ([]*skalds.Task, error) {
	if err := s.pass(ctx); err != nil {
		return nil, err
	}
	return s.Store.Queue(ctx, limit)
}

func (s *stalledStore) Save(ctx context.Context, t *skalds.Task) error {
	if err := s.pass(ctx); err != nil {
		return err
	}
	return s.Store.Save(ctx, t)
}

// TestAStoreThatIsAwayLetsNoLoopStandStill: while the store is away for minutes, many tasks are due to be ended. Nobody may take the
// controller for stuck and end it, and once the store answers they end soon.
func TestAStoreThatIsAwayLetsNoLoopStandStill(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		s := &stalledStore{}
		w.wrap = func(inner controller.Store) controller.Store { s.Store = inner; return s }
		w.start()
		w.startHost(w.host("a"))
		const many = 400
		for i := range many {
			w.create(fmt.Sprint("t", i), func(s *skalds.Spec) {
				s.Constraints = []string{"zone=nowhere"}
				s.Timeouts.Queue = skalds.Duration(time.Minute)
			})
		}
		synctest.Wait()
		s.stalled.Store(true)
		for range 240 {
			time.Sleep(time.Second)
			if said := w.Stuck(); said != "" {
				t.Fatalf("taken for stuck: %s", said)
			}
		}
		if s.calls.Load() == 0 {
			t.Error("nothing was asked of the store: this proves nothing")
		}
		s.stalled.Store(false)
		begun := time.Now()
		w.await("all have ended", func() bool {
			for _, task := range w.store.All() {
				if task.LifecycleStatus != skalds.Failed {
					return false
				}
			}
			return true
		})
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("they end %s after the store answers again: a call that it does not answer ends after 5 s", took)
		}
	})
}
