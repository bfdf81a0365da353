package controller_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// unhurriedStore takes its time, unless whoever asks has no more of it.
type unhurriedStore struct {
	controller.Store
	delay time.Duration
}

func (s *unhurriedStore) rest(ctx context.Context) error {
	select {
	case <-time.After(s.delay):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *unhurriedStore) PutOutcome(ctx context.Context, list ...skalds.Outcome) error {
	for range list {
		if err := s.rest(ctx); err != nil {
			return err
		}
	}
	return s.Store.PutOutcome(ctx, list...)
}

func (s *unhurriedStore) Generation(ctx context.Context) (int64, error) {
	if err := s.rest(ctx); err != nil {
		return 0, err
	}
	return s.Store.Generation(ctx)
}

func (s *unhurriedStore) Task(ctx context.Context, id string) (*skalds.Task, error) {
	if err := s.rest(ctx); err != nil {
		return nil, err
	}
	return s.Store.Task(ctx, id)
}

// TestMoreThanOneCallMayTake: records of one task that take a slow store longer than a call may take are kept all the same, and so
// is a hello answered that asks it for many tasks.
func TestMoreThanOneCallMayTake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		w.wrap = func(inner controller.Store) controller.Store { return &unhurriedStore{inner, 200 * time.Millisecond} }
		w.start()
		h := w.startHost(w.host("n1"))
		h.Behave = forever
		w.create("t")
		task := w.awaitState("t", skalds.Running)
		const many = 200 // 40 s, and a call may take 5
		var records []skalds.HostMessage
		for i := range many {
			records = append(records, skalds.HostMessage{NodeID: "n1", Incarnation: h.Incarnation(), Outcome: &skalds.Outcome{
				OutcomeKey: skalds.OutcomeKey{TaskID: "t", Epoch: task.Epoch, Attempt: 1, Kind: skalds.OutcomeStage, Name: fmt.Sprintf("stage %d", i)},
				Value:      []byte("1"),
			}})
		}
		w.tell(records...)
		w.await("all stages are kept", func() bool {
			t, err := w.store.Task(context.Background(), "t")
			return err == nil && len(t.Stages) == many
		})

		hello := skalds.Hello{Mode: skalds.NodeModeNode, Number: 1, Part: 1, Parts: 1}
		for i := range many {
			hello.Tasks = append(hello.Tasks, skalds.TaskMark{TaskID: fmt.Sprintf("unknown %d", i), Epoch: 1, Mode: skalds.ModePassive})
		}
		w.tell(skalds.HostMessage{NodeID: "n2", Incarnation: 1, Hello: &hello})
		w.await("another node is taken in", func() bool {
			nodes, err := w.store.Nodes(context.Background())
			return err == nil && len(nodes) == 2
		})
	})
}

// TestWhoStopsWhileItStartsRefusesNothing: a controller that was stopped before it had read the store knows no class, and must not say so.
func TestWhoStopsWhileItStartsRefusesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(w.host("n1"))
		w.create("before")
		w.stop()
		w.wrap = func(inner controller.Store) controller.Store { return &unhurriedStore{inner, time.Minute} }
		w.start()
		w.stop()
		_, _, err := w.Tasks().Create(context.Background(), controller.CreateRequest{Spec: skalds.Spec{ID: "t", ClassName: "Demo"}})
		if !errors.Is(err, skalds.ErrUnavailable) {
			t.Errorf("a create was answered %v, want unavailable", err)
		}
		w.wrap = nil
		w.start()
	})
}
