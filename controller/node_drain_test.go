package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// A drain moves what finds room, names what does not and lets it go on, and takes it back at the deadline.
func TestADrainMovesWhatFindsRoomAndTheRestAtItsDeadline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.host("a")
		a.Labels = map[string]string{"gpu": "true"}
		w.startHost(a)
		a.Behave = forever
		for i := range 3 {
			w.create(fmt.Sprint("moves", i))
			w.awaitState(fmt.Sprint("moves", i), skalds.Running)
		}
		w.create("only here", func(s *skalds.Spec) { s.Constraints = []string{"gpu"} })
		w.awaitState("only here", skalds.Running)
		b := w.startHost(w.host("b"))
		b.Behave = forever
		_, f, err := w.Nodes().DrainForecast(t.Context(), "a")
		if err != nil || f.Left != 4 || f.Moving != 0 || f.Room != 3 || len(f.NoRoom) != 1 || f.NoRoom[0].TaskID != "only here" || !strings.Contains(f.NoRoom[0].Why, "gpu") {
			t.Fatalf("forecast %+v, %v", f, err)
		}
		deadline := time.Minute
		v, err := w.Nodes().Drain(t.Context(), "a", &deadline, "anna")
		if err != nil || v.DrainDeadline-v.DrainBegan != deadline.Milliseconds() {
			t.Fatalf("%+v, %v", v.Node, err)
		}
		begun := time.Now()
		w.await("three on b", func() bool { return b.Runs("moves0") && b.Runs("moves1") && b.Runs("moves2") })
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("moved within %s", took)
		}
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if task := w.task("only here"); task.LifecycleStatus != skalds.Running || task.Executor != "a" || a.Starts("only here") != 1 {
			t.Fatalf("before the deadline it is %s on %q", task.LifecycleStatus, task.Executor)
		}
		task := w.awaitState("only here", skalds.Created)
		if took := time.Since(begun); took < deadline || took > deadline+3*time.Second {
			t.Errorf("taken back after %s", took)
		}
		if task.BudgetUsed != 0 || !strings.Contains(task.Waiting, "draining") {
			t.Errorf("it waits: %s, %d attempts counted", task.Waiting, task.BudgetUsed)
		}
		attempts, err := w.Tasks().Attempts(t.Context(), "only here")
		if err != nil || len(attempts) != 1 || attempts[0].Exit == nil || attempts[0].Exit.Kind != skalds.ExitDrain {
			t.Errorf("attempts %+v, %v", attempts, err)
		}
		if _, f, err = w.Nodes().DrainForecast(t.Context(), "a"); err != nil || f.Left != 0 || len(f.NoRoom) != 0 {
			t.Errorf("afterwards %+v, %v", f, err)
		}
		if v, err = w.Nodes().Undrain(t.Context(), "a", "anna"); err != nil || v.Draining || v.DrainDeadline != 0 {
			t.Errorf("undrained %+v, %v", v.Node, err)
		}
		w.awaitState("only here", skalds.Running)
		if n := b.Starts("moves0") + a.Starts("moves0"); n != 2 {
			t.Errorf("a task that moved was started %d times", n)
		}
	})
}

// Room is kept for what moves: those who have waited longer for such room do not get it, and what cannot move is not stopped.
func TestADrainKeepsRoomForWhatMoves(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		large := func(s *skalds.Spec) { s.Resources.MemoryBytes = 3 << 30 }
		a := w.startHost(w.host("a"))
		a.Behave = forever
		for _, id := range []string{"one", "two"} {
			w.create(id, large)
			w.awaitState(id, skalds.Running)
		}
		if _, err := w.Nodes().Cordon(t.Context(), "a", true, "test"); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			w.create(fmt.Sprint("waits", i), large) // more than fits on b
		}
		b := w.host("b")
		b.Capacity.MemoryBytes = 4 << 30
		b.Behave = func(c skalds.Command, _ int) controllertest.Plan { return controllertest.Plan{Runs: 10 * time.Second} }
		w.startHost(b)
		w.await("one of those that waited is on b", func() bool { return b.Runs("waits0") })
		if _, err := w.Nodes().Drain(t.Context(), "a", nil, "test"); err != nil {
			t.Fatal(err)
		}
		// Whatever the order in which b has room again: no task of a is stopped before it has a place there.
		stopped := map[string]time.Time{}
		w.await("both have been on b", func() bool {
			for _, id := range []string{"one", "two"} {
				switch {
				case a.Runs(id):
				case b.Runs(id) || w.task(id).LifecycleStatus.Final():
					delete(stopped, id)
				case stopped[id].IsZero():
					stopped[id] = time.Now()
				case time.Since(stopped[id]) > 2*time.Second:
					t.Fatalf("%s was stopped and waits: %s", id, w.task(id).Waiting)
				}
			}
			return w.task("one").LifecycleStatus.Final() && w.task("two").LifecycleStatus.Final()
		})
		for _, id := range []string{"one", "two", "waits0", "waits1", "waits2"} {
			w.awaitState(id, skalds.Finished)
		}
	})
}

// Another controller goes on with a drain, and any of them begins one.
func TestADrainOutlivesItsController(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		other := s.other()
		a, b := s.host("a"), s.host("b")
		a.Labels = map[string]string{"gpu": "true"}
		a.Behave, b.Behave = forever, forever
		s.startHost(a)
		for _, id := range []string{"moves", "gpu"} {
			s.create(id, func(spec *skalds.Spec) {
				if id == "gpu" {
					spec.Constraints = []string{id}
				}
			})
			s.awaitState(id, skalds.Running)
		}
		s.startHost(b)
		deadline := 30 * time.Second
		if _, err := other.Nodes().Drain(t.Context(), "a", &deadline, "anna"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		s.await("it moves", func() bool { return b.Runs("moves") })
		if _, f, err := other.Nodes().DrainForecast(t.Context(), "a"); err != nil || f.Left != 1 || len(f.NoRoom) != 1 {
			t.Errorf("who does not lead forecasts %+v, %v", f, err)
		}
		s.end(leader)
		s.Controller = other.Controller
		s.awaitState("gpu", skalds.Created)
		if took := time.Since(begun); took < deadline || took > deadline+5*time.Second {
			t.Errorf("taken back after %s", took)
		}
	})
}

// A node says who drains it for how long, and refuses a deadline that is none.
func TestWrongDrains(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(w.host("a"))
		before := -time.Second
		if _, err := w.Nodes().Drain(t.Context(), "a", &before, "test"); skalds.CodeOf(err) != skalds.CodeInvalid {
			t.Errorf("a deadline that is over: %v", err)
		}
		if _, err := w.Nodes().Drain(t.Context(), "nope", nil, "test"); skalds.CodeOf(err) != skalds.CodeNotFound {
			t.Errorf("no node: %v", err)
		}
		if _, _, err := w.Nodes().DrainForecast(t.Context(), "nope"); skalds.CodeOf(err) != skalds.CodeNotFound {
			t.Errorf("no node: %v", err)
		}
	})
}
