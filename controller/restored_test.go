package controller_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// restore starts a controller over what a backup holds; the bus still has everything.
func (w *world) restore(saved *controllertest.Store) {
	w.t.Helper()
	w.store = saved
	w.start()
}

// TestARestoredStoreMeetsItsHosts: what they run is compared with it once, and at once.
func TestARestoredStoreMeetsItsHosts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.startHost(w.host("c"))
		c.Behave = forever
		w.create("returns")
		w.awaitState("returns", skalds.Running)
		a := w.startHost(w.host("a"))
		a.Behave = forever
		cordon := func(id string, on bool) {
			t.Helper()
			if _, err := w.Nodes().Cordon(t.Context(), id, on, "test"); err != nil {
				t.Fatal(err)
			}
		}
		cordon("c", true)
		for _, id := range []string{"stays", "cancelled"} {
			w.create(id)
			w.awaitState(id, skalds.Running)
		}
		w.create("waits", func(s *skalds.Spec) { s.ClassName = "Demo"; s.Retry.MaxAttempts = 1 })
		w.awaitState("waits", skalds.Running)
		if _, err := w.Tasks().Cancel(t.Context(), "waits", "test"); err != nil {
			t.Fatal(err)
		}
		w.await("it is gone", func() bool { return !a.Runs("waits") })
		saved := w.store.Restored()

		// What comes now the store will have forgotten.
		for _, id := range []string{"cancelled"} {
			if _, err := w.Tasks().Cancel(t.Context(), id, "test"); err != nil {
				t.Fatal(err)
			}
			w.await("it is gone", func() bool { return !a.Runs(id) })
		}
		if _, err := w.Tasks().Retry(t.Context(), "waits", "test"); err != nil {
			t.Fatal(err)
		}
		w.awaitState("waits", skalds.Running)
		cordon("a", true)
		cordon("c", false)
		c.Kill()
		w.startHost(c)
		w.await("it is there again", func() bool { return c.Runs("returns") })
		w.awaitState("returns", skalds.Running)
		b := w.startHost(w.host("b"))
		b.Behave = forever
		cordon("c", true)
		for _, id := range []string{"unknown", "alike"} {
			w.create(id)
			w.awaitState(id, skalds.Running)
		}
		starts := map[string]int{"stays": a.Starts("stays"), "returns": c.Starts("returns")}
		w.stop()
		hellos := 0
		w.bus.SetWatch(func(skalds.NodeMessage) {}, func(m skalds.HostMessage) {
			if m.Hello != nil {
				hellos++
			}
		})
		before := len(a.Recorded())
		begun := time.Now()
		w.restore(saved)
		w.await("what is unknown is gone", func() bool { return !b.Runs("unknown") && !b.Runs("alike") })
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it ran on for %s", took)
		}
		w.create("alike") // the name is free
		w.awaitState("alike", skalds.Running)
		w.awaitState("cancelled", skalds.Cancelled) // the bus still has the word of its node
		time.Sleep(time.Minute)
		synctest.Wait()
		for id, n := range starts {
			task := w.task(id)
			h := map[string]*controllertest.Host{"a": a, "b": b, "c": c}[task.Executor]
			if task.LifecycleStatus != skalds.Running || h == nil || !h.Runs(id) || a.Starts(id)+c.Starts(id) != n || b.Starts(id) > 0 {
				t.Errorf("%s is %s on %q with epoch %d, was started %d times, %d before", id, task.LifecycleStatus, task.Executor, task.Epoch, a.Starts(id)+c.Starts(id), n)
			}
		}
		if a.Runs("waits") || b.Runs("waits") || w.task("waits").LifecycleStatus != skalds.Cancelled {
			t.Errorf("what had been cancelled is %s, runs there: %v", w.task("waits").LifecycleStatus, a.Runs("waits"))
		}
		if hellos > 6 {
			t.Errorf("%d hellos of three hosts", hellos)
		}
		seen := map[skalds.OutcomeKey]bool{}
		for _, o := range slices.Concat(a.Recorded(), b.Recorded(), c.Recorded()) {
			if seen[o.OutcomeKey] {
				t.Errorf("%+v was begun twice", o.OutcomeKey)
			}
			seen[o.OutcomeKey] = true
		}
		if extra := len(a.Recorded()) - before; extra > 1 {
			t.Errorf("%d processes ended after the restore: %+v", extra, a.Recorded()[before:])
		}
		for _, id := range []string{"waits", "cancelled"} {
			if _, err := w.Tasks().Cancel(t.Context(), id, "test"); err != nil && !strings.Contains(err.Error(), "Cancelled") {
				t.Errorf("cancel %s: %v", id, err)
			}
			if _, err := w.Tasks().Retry(t.Context(), id, "test"); err != nil {
				t.Errorf("retry %s: %v", id, err)
			}
			w.awaitState(id, skalds.Running)
		}
	})
}
