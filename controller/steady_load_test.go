package controller_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// TestSteadyLoadStarvesNothing: tasks keep coming, faster than one round places them. What waits too long ends in time all the same,
// and what another controller has put into the store is found.
func TestSteadyLoadStarvesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		w.wrap = func(s controller.Store) controller.Store { return &measuredStore{s, 5 * time.Millisecond} }
		w.start()
		h := w.host("a")
		h.Capacity = skalds.Capacity{CPUCores: 100_000, MemoryBytes: 1 << 50}
		w.startHost(h)
		w.create("late", func(s *skalds.Spec) {
			s.Constraints = []string{"zone=nowhere"}
			s.Timeouts.Queue = skalds.Duration(2 * time.Second)
		})
		begun := time.Now()
		found := &skalds.Task{
			Spec: skalds.Spec{ID: "found", ClassName: "Demo"}, LifecycleStatus: skalds.Created, QueuedAt: begun.UnixMilli(),
		}
		if _, _, err := w.store.Create(t.Context(), found); err != nil {
			t.Fatal(err)
		}
		var ended, placed time.Duration
		for i := 0; time.Since(begun) < 30*time.Second && (ended == 0 || placed == 0); i++ { // 200 tasks a second
			w.create(fmt.Sprint("n", i))
			time.Sleep(5 * time.Millisecond)
			if late, err := w.store.Task(t.Context(), "late"); ended == 0 && err == nil && late.LifecycleStatus == skalds.Failed {
				ended = time.Since(begun)
			}
			if task, err := w.store.Task(t.Context(), "found"); placed == 0 && err == nil && task.Executor != "" {
				placed = time.Since(begun)
			}
		}
		synctest.Wait()
		if ended == 0 || ended > 4*time.Second {
			t.Errorf("a task with a queue time-out of 2 s has ended after %s of load (0: not at all)", ended)
		}
		if placed == 0 || placed > 15*time.Second {
			t.Errorf("a task that only the store knew was placed after %s of load (0: not at all); the queue is read every 10 s", placed)
		}
	})
}

// measuredStore takes the same time for every call that the controller makes about tasks and nodes.
type measuredStore struct {
	controller.Store
	takes time.Duration
}

func (s *measuredStore) Task(ctx context.Context, id string) (*skalds.Task, error) {
	time.Sleep(s.takes)
	return s.Store.Task(ctx, id)
}

func (s *measuredStore) Save(ctx context.Context, t *skalds.Task) error {
	time.Sleep(s.takes)
	return s.Store.Save(ctx, t)
}

func (s *measuredStore) OnNode(ctx context.Context, node string) ([]*skalds.Task, error) {
	time.Sleep(s.takes)
	return s.Store.OnNode(ctx, node)
}

func (s *measuredStore) SaveNode(ctx context.Context, n skalds.Node) error {
	time.Sleep(s.takes)
	return s.Store.SaveNode(ctx, n)
}

func (s *measuredStore) PutOutcome(ctx context.Context, o ...skalds.Outcome) error {
	time.Sleep(s.takes)
	return s.Store.PutOutcome(ctx, o...)
}
