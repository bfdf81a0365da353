package controller_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// silentBus loses what is announced of nodes.
type silentBus struct{ controller.Bus }

func (b silentBus) PublishChange(ctx context.Context, changes ...skalds.Change) error {
	changes = slices.DeleteFunc(changes, func(c skalds.Change) bool { return c.Type == skalds.ChangeNode })
	return b.Bus.PublishChange(ctx, changes...)
}

// TestALostWordOfANode: a controller that does not lead knows a node and its workers soon, though nothing that was announced of it
// came through.
func TestALostWordOfANode(t *testing.T) {
	inSeveral(t, 1, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		leader.bus.Bus = silentBus{leader.bus.Bus}
		other := s.add("other")
		h := s.startHost(s.host("n1"))
		h.Behave = forever
		begun := time.Now()
		s.await("it knows the class", func() bool { w, err := other.Nodes().Workers(t.Context()); return err == nil && len(w) == 1 })
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("it knows the class after %v", took)
		}
		other.create(t, "t1")
		s.awaitState("t1", skalds.Running)
	})
}

// TestIdleControllersReadLittle: where nothing changes, who leads hardly reads the nodes, and nobody reads all plugins again and again.
func TestIdleControllersReadLittle(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		s.awaitLeader()
		s.startHost(s.host("n1"))
		time.Sleep(time.Minute)
		var mu sync.Mutex // guards reads
		reads := map[string]int{}
		s.store.SetFault(func(op string) error {
			mu.Lock()
			defer mu.Unlock()
			reads[op]++
			return nil
		})
		time.Sleep(2 * time.Minute)
		s.store.SetFault(nil)
		if reads["workers"] > 3 || reads["nodes"] > 24+6+2 {
			t.Errorf("in two minutes of two controllers: %v", reads)
		}
	})
}
