package controller_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

func TestACordonThatIsNotStoredDoesNotHold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(w.host("n1"))
		w.store.SetFault(func(op string) error {
			if op == "saveNode" {
				return controllertest.ErrDown
			}
			return nil
		})
		if _, err := w.Nodes().Cordon(t.Context(), "n1", true, "test"); err == nil {
			t.Fatal("a cordon that could not be stored is no error")
		}
		w.store.SetFault(nil)
		if v, err := w.Nodes().Node(t.Context(), "n1"); err != nil || v.Cordoned {
			t.Errorf("cordoned %v, %v", v.Cordoned, err)
		}
		w.create("a")
		w.awaitState("a", skalds.Finished)
	})
}

// slowStore takes a second to store a node's record, once.
type slowStore struct {
	controller.Store
	slow atomic.Bool
}

func (s *slowStore) SaveNode(ctx context.Context, n skalds.Node) error {
	if s.slow.CompareAndSwap(true, false) {
		time.Sleep(time.Second)
	}
	return s.Store.SaveNode(ctx, n)
}

func TestNoRecordOfANodeIsStoredOverANewerOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		s := &slowStore{}
		w.wrap = func(inner controller.Store) controller.Store { s.Store = inner; return s }
		w.start()
		h := w.startHost(w.host("n1"))
		s.slow.Store(true)
		h.Kill()
		h.Start() // says hello, whose record is under way for a second
		w.await("its record is under way", func() bool { return !s.slow.Load() })
		if _, err := w.Nodes().Cordon(t.Context(), "n1", true, "test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		list, err := w.store.Nodes(t.Context())
		if err != nil || len(list) != 1 || !list[0].Cordoned {
			t.Errorf("the store has %+v, %v", list, err)
		}
		if v, err := w.Nodes().Node(t.Context(), "n1"); err != nil || !v.Cordoned {
			t.Errorf("shown as cordoned: %v, %v", v.Cordoned, err)
		}
	})
}
