package controller_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// auditStore takes no entries of the audit for a while: it hangs, or refuses them.
type auditStore struct {
	controller.Store
	hangs, refuses atomic.Bool
}

func (s *auditStore) Audit(ctx context.Context, e controller.AuditEntry) error {
	if s.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.refuses.Load() {
		return errors.New("no")
	}
	return s.Store.Audit(ctx, e)
}

func inAuditedWorld(t *testing.T, test func(t *testing.T, w *world, s *auditStore)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		s := &auditStore{}
		w.wrap = func(inner controller.Store) controller.Store { s.Store = inner; return s }
		w.start()
		w.startHost(w.host("n1")).Behave = forever
		test(t, w, s)
	})
}

// TestAnswersDoNotWaitForTheAudit has the store be slow with the audit alone.
func TestAnswersDoNotWaitForTheAudit(t *testing.T) {
	for name, broken := range map[string]func(s *auditStore) *atomic.Bool{
		"it hangs":    func(s *auditStore) *atomic.Bool { return &s.hangs },
		"it is wrong": func(s *auditStore) *atomic.Bool { return &s.refuses },
	} {
		t.Run(name, func(t *testing.T) {
			inAuditedWorld(t, func(t *testing.T, w *world, s *auditStore) {
				broken(s).Store(true)
				begun := time.Now()
				w.create("a")
				if _, err := w.Tasks().Cancel(t.Context(), "a", "test"); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Nodes().Cordon(t.Context(), "n1", true, "test"); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took > time.Second {
					t.Errorf("three answers took %s", took)
				}
				time.Sleep(time.Minute)
				if w.audited("a", "create") || w.audited("a", "cancel") {
					t.Error("the audit was written: this proves nothing")
				}
				broken(s).Store(false)
				w.await("all is in the audit", func() bool {
					return w.audited("a", "create") && w.audited("a", "cancel") && w.audited("", "cordon")
				})
				broken(s).Store(true)
				w.create("b")
				broken(s).Store(false)
				w.stop() // what waits is written before the end
				if !w.audited("b", "create") {
					t.Error("at a stop an entry is lost")
				}
				w.start()
			})
		})
	}
}

// TestTheAuditOfAnUnclearChange says that it may have been done.
func TestTheAuditOfAnUnclearChange(t *testing.T) {
	inLeavingWorld(t, func(t *testing.T, w *world, s *leavingStore, _ *controllertest.Host) {
		w.create("a")
		w.awaitState("a", skalds.Running)
		lie := errors.New("the connection broke")
		s.lie.Store(&lie)
		if _, err := w.Tasks().Cancel(t.Context(), "a", "me"); !errors.Is(err, lie) {
			t.Fatalf("cancel: %v", err)
		}
		if !w.audited("a", "cancel (the store has not said whether it was done)") {
			t.Error("it is not in the audit")
		}
	})
}
