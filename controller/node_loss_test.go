package controller_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// nodeAudit is the latest entry of the audit about a node with that action.
func (w *world) nodeAudit(node, action string) controller.AuditEntry {
	w.t.Helper()
	list, err := w.store.Audits(w.t.Context(), "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range slices.Backward(list) {
		if e.NodeID == node && e.Action == action {
			return e
		}
	}
	w.t.Fatalf("no audit says that node %s was changed by %q: %+v", node, action, list)
	return controller.AuditEntry{}
}

// A silent node is declared lost long before its lease is over. What it still runs counts no more, and ends when it is back,
// before it gets anything new.
func TestANodeIsDeclaredLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := twoHosts(w, "stops", "keeps")
		if _, err := w.Nodes().DeclareLost(t.Context(), "a", false, "anna"); skalds.CodeOf(err) != skalds.CodeConflict || !strings.Contains(err.Error(), "alive") {
			t.Fatalf("of a node that is heard: %v", err)
		}
		a.SetCut(true)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		begun := time.Now()
		l, err := w.Nodes().DeclareLost(t.Context(), "a", false, "anna")
		if err != nil || !slices.Contains(l.Moved, "stops") || l.Node.Online || l.Node.LostAt == 0 {
			t.Fatalf("%+v, %v", l, err)
		}
		if until := time.UnixMilli(l.MayRunUntil).Sub(begun); until < 2*time.Second || until > 5*time.Second {
			t.Errorf("it may run for another %s", until)
		}
		w.await("it runs on b", func() bool { return b.Runs("stops") })
		if took := time.Since(begun); took > time.Second {
			t.Errorf("moved after %s", took)
		}
		if task := w.task("stops"); task.BudgetUsed != 0 || task.LastExit == nil || task.LastExit.Kind != skalds.ExitNodeLost || !strings.Contains(task.LastExit.Message, "anna") {
			t.Errorf("moved as %+v, %+v", task, task.LastExit)
		}
		w.nodeAudit("a", "declare lost")
		a.SetCut(false)
		w.await("a is back", func() bool { return w.online("a") })
		w.await("a runs it no more", func() bool { return !a.Runs("stops") })
		time.Sleep(time.Minute)
		synctest.Wait()
		if task := w.task("stops"); task.Executor != "b" || !b.Runs("stops") || b.Starts("stops") != 1 {
			t.Errorf("it is on %s, started %d times there", task.Executor, b.Starts("stops"))
		}
	})
}

// What is to stay with a silent node moves only where its machine is said to be off.
func TestAMachineThatIsOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.startHost(w.host("a"))
		a.Behave = forever
		w.create("keeps", func(s *skalds.Spec) { s.OnDisconnect = skalds.OnDisconnectKeep })
		w.awaitState("keeps", skalds.Running)
		b := w.startHost(w.host("b"))
		b.Behave = forever
		a.Kill()
		w.await("a is lost", func() bool { return !w.online("a") })
		l, err := w.Nodes().DeclareLost(t.Context(), "a", false, "anna")
		if err != nil || !slices.Equal(l.Kept, []string{"keeps"}) || len(l.Moved) != 0 {
			t.Fatalf("%+v, %v", l, err)
		}
		if l, err = w.Nodes().DeclareLost(t.Context(), "a", true, "anna"); err != nil || !slices.Equal(l.Moved, []string{"keeps"}) || l.MayRunUntil != 0 {
			t.Fatalf("machine off: %+v, %v", l, err)
		}
		w.await("it runs on b", func() bool { return b.Runs("keeps") })
	})
}

// A task that a user runs again waits for the node that may still run it, until that machine is said to be off.
func TestARetryWaitsForAMachineUntilItIsOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.startHost(w.host("a"))
		a.Behave = forever
		for _, id := range []string{"now", "later"} {
			w.create(id, func(s *skalds.Spec) { s.OnDisconnect = skalds.OnDisconnectKeep })
			w.awaitState(id, skalds.Running)
		}
		b := w.startHost(w.host("b"))
		a.Kill()
		w.await("a is lost", func() bool { return !w.online("a") })
		for _, id := range []string{"now", "later"} {
			if _, err := w.Tasks().Cancel(t.Context(), id, "test"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Tasks().Retry(t.Context(), "now", "test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if task := w.task("now"); task.LifecycleStatus != skalds.Created || !strings.Contains(task.Waiting, "node a is lost") || b.Starts("now") != 0 {
			t.Fatalf("it is %s: %s", task.LifecycleStatus, task.Waiting)
		}
		if _, err := w.Nodes().DeclareLost(t.Context(), "a", true, "anna"); err != nil {
			t.Fatal(err)
		}
		w.awaitState("now", skalds.Finished)
		if _, err := w.Tasks().Retry(t.Context(), "later", "test"); err != nil {
			t.Fatal(err)
		}
		if task := w.awaitState("later", skalds.Finished); task.Executor != "b" {
			t.Errorf("it finished on %s", task.Executor)
		}
	})
}

// Any controller can do it; the one that leads gives the node nothing before it has said hello again.
func TestANodeIsDeclaredLostByAnyController(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		other := s.other()
		a, b := s.host("a"), s.host("b")
		a.Behave, b.Behave = forever, forever
		s.startHost(a)
		s.create("t")
		s.awaitState("t", skalds.Running)
		s.startHost(b)
		a.SetCut(true)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if _, err := other.Nodes().DeclareLost(t.Context(), "a", false, "anna"); err != nil {
			t.Fatal(err)
		}
		a.SetCut(false)
		s.await("it runs on b", func() bool { return b.Runs("t") })
		s.await("a runs it no more", func() bool { return !a.Runs("t") })
		for _, c := range []*oneOf{leader, other} {
			s.await("both see it online again", func() bool {
				v, err := c.Nodes().Node(t.Context(), "a")
				return err == nil && v.Online && v.LostAt == 0
			})
		}
	})
}
