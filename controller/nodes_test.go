package controller_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
)

func TestTasksOfALostNodeRunElsewhere(t *testing.T) {
	for name, silence := range map[string]func(h *controllertest.Host){
		"killed":  func(h *controllertest.Host) { h.Kill() },
		"cut off": func(h *controllertest.Host) { h.SetCut(true) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.startHost(w.host("a"))
				a.Behave = forever
				w.create("stops")
				w.create("keeps", func(s *skalds.Spec) { s.OnDisconnect = skalds.OnDisconnectKeep })
				w.awaitState("stops", skalds.Running)
				w.awaitState("keeps", skalds.Running)
				b := w.startHost(w.host("b"))
				b.Behave = forever
				begun := time.Now()
				silence(a)
				w.await("a run on b", func() bool {
					if b.Runs("stops") && a.Runs("stops") {
						t.Fatal("it runs on both")
					}
					return b.Runs("stops")
				})
				if took := time.Since(begun); took < 5*time.Second || took > 9*time.Second {
					t.Errorf("moved after %s: want more than a lease, and no more than nine seconds", took)
				}
				if task := w.task("stops"); task.BudgetUsed != 0 || task.LastExit == nil || task.LastExit.Kind != skalds.ExitNodeLost {
					t.Errorf("moved as %+v", task)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if task := w.task("keeps"); task.Executor != "a" || task.LifecycleStatus != skalds.Running || task.Epoch != 1 {
					t.Errorf("a task that stays with its silent node is %s on %q in epoch %d", task.LifecycleStatus, task.Executor, task.Epoch)
				}
			})
		})
	}
}

func TestServicesThatAreAwayCostNoNode(t *testing.T) {
	away := errors.New("away")
	for name, set := range map[string]func(w *world, err error){
		"bus":             func(w *world, err error) { w.bus.SetDown(err) },
		"heartbeat store": func(w *world, err error) { w.bus.SetBeatsDown(err) },
		"store": func(w *world, err error) {
			w.store.SetFault(func(string) error { return err })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				h := w.startHost(w.host("a"))
				h.Behave = forever
				w.create("t")
				w.awaitState("t", skalds.Running)
				w.store.SetNodeWatch(func(_, n skalds.Node) {
					if n.LostAt != 0 {
						t.Errorf("node %s was declared lost", n.ID)
					}
				})
				set(w, away)
				time.Sleep(5 * time.Minute)
				set(w, nil)
				time.Sleep(time.Minute)
				synctest.Wait()
				if task := w.task("t"); task.LifecycleStatus != skalds.Running || task.Epoch != 1 || h.Starts("t") != 1 {
					t.Errorf("%s in epoch %d, started %d times", task.LifecycleStatus, task.Epoch, h.Starts("t"))
				}
			})
		})
	}
}

func TestATaskThatKillsNodesIsQuarantined(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 3 {
			h := w.host(fmt.Sprint("n", i))
			h.Behave = forever
			if w.startHost(h); i == 0 {
				w.create("killer")
			}
			w.awaitState("killer", skalds.Running)
			h.Kill()
			w.awaitState("killer", skalds.Created)
		}
		h := w.startHost(w.host("n3"))
		time.Sleep(time.Minute)
		synctest.Wait()
		task := w.task("killer")
		if task.Quarantined == "" || task.LifecycleStatus != skalds.Created || h.Starts("killer") != 0 || !strings.Contains(task.Waiting, "retry releases it") {
			t.Fatalf("after three lost nodes: %s, quarantined %q, waiting %q, started %d times", task.LifecycleStatus, task.Quarantined, task.Waiting, h.Starts("killer"))
		}
		if why, err := w.Tasks().Why(t.Context(), "killer"); err != nil || !strings.Contains(why.Summary, "quarantine") {
			t.Errorf("why: %q, %v", why.Summary, err)
		}
		if _, err := w.Tasks().Retry(t.Context(), "killer", "test"); err != nil {
			t.Fatal(err)
		}
		w.awaitState("killer", skalds.Finished)
	})
}

func TestDrainMovesAndNeverCancels(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.startHost(w.host("a"))
		a.Behave = forever
		for i := range 20 {
			w.create(fmt.Sprint("t", i))
		}
		w.create("paused")
		w.awaitState("paused", skalds.Running)
		if _, err := w.Tasks().Pause(t.Context(), "paused", "test"); err != nil {
			t.Fatal(err)
		}
		w.awaitState("paused", skalds.Paused)
		b := w.startHost(w.host("b"))
		b.Behave = forever
		w.create("comes with it") // decided on before the drain is stored, or after
		if _, err := w.Nodes().Drain(t.Context(), "a", nil, "test"); err != nil {
			t.Fatal(err)
		}
		w.await("all on b", func() bool {
			for i := range 20 {
				if !b.Runs(fmt.Sprint("t", i)) {
					return false
				}
			}
			return b.Runs("comes with it")
		})
		if task := w.task("paused"); task.LifecycleStatus != skalds.Paused || task.Executor != "" {
			t.Errorf("the paused task is %s on %q", task.LifecycleStatus, task.Executor)
		}
		if _, err := w.Tasks().Resume(t.Context(), "paused", "test"); err != nil {
			t.Fatal(err)
		}
		if task := w.awaitState("paused", skalds.Running); task.Executor != "b" {
			t.Errorf("resumed on %q", task.Executor)
		}
	})
}

func TestThreeFailuresInARowGoElsewhere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.startHost(w.host("a"))
		a.Behave = func(skalds.Command, int) controllertest.Plan {
			return controllertest.Plan{Runs: time.Millisecond, Exit: skalds.Exit{Kind: skalds.ExitError, Message: "not here"}}
		}
		w.create("t", func(s *skalds.Spec) { s.Retry.MaxAttempts = 10 })
		w.await("failures", func() bool { return a.Starts("t") >= 3 })
		w.startHost(w.host("b"))
		done := w.awaitState("t", skalds.Finished)
		if done.Executor != "b" || done.BudgetUsed < 3 {
			t.Errorf("finished on %q, %d attempts counted", done.Executor, done.BudgetUsed)
		}
		attempts, err := w.Tasks().Attempts(t.Context(), "t")
		if err != nil || len(attempts) != a.Starts("t")+1 {
			t.Errorf("%d attempts on record of %d, %v", len(attempts), a.Starts("t")+1, err)
		}
	})
}

// A task that was given back for memory waits for a node that has what the raised limit asks for, says so, and goes there; a
// retry begins with what it asked for itself.
func TestAfterAnEndForMemoryATaskGoesWhereThereIsMore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		small := w.host("small")
		small.Capacity.MemoryBytes = 1 << 30
		small.Behave = func(c skalds.Command, _ int) controllertest.Plan {
			if c.Spec.ID == "t" && c.MemoryFailures == 0 {
				return controllertest.Plan{Runs: time.Millisecond, Exit: skalds.Exit{Kind: skalds.ExitLimit, Limit: skalds.LimitMemory, Message: "too much"}, Needs: 2 << 30}
			}
			return controllertest.Plan{Runs: -1}
		}
		w.startHost(small)
		w.create("t", func(s *skalds.Spec) { s.Limits.MemoryBytes, s.Retry.OOM = 1<<29, &skalds.OOMRetry{Factor: 4} })
		w.await("it waits and says for what", func() bool {
			return strings.Contains(w.task("t").Waiting, "node small has 1024 MiB of memory free, 2048 MiB are needed: the memory limit was raised")
		})
		if got := w.task("t"); got.LifecycleStatus != skalds.Created || got.MemoryFailures != 1 || got.MemoryLimit != 2<<30 || got.BudgetUsed != 0 || small.Starts("t") != 1 {
			t.Errorf("while it waits: %+v, started %d times", got, small.Starts("t"))
		}
		big := w.host("big")
		var told skalds.Command
		big.Behave = func(c skalds.Command, _ int) controllertest.Plan { told = c; return controllertest.Plan{Runs: -1} }
		w.startHost(big)
		if got := w.awaitState("t", skalds.Running); got.Executor != "big" || told.MemoryFailures != 1 || told.MemoryLimit != 2<<30 {
			t.Errorf("it runs on %q, which was told %d ends and %d bytes", got.Executor, told.MemoryFailures, told.MemoryLimit)
		}
		if _, err := w.Tasks().Cancel(t.Context(), "t", "test"); err != nil {
			t.Fatal(err)
		}
		v, err := w.Tasks().Retry(t.Context(), "t", "test")
		if err != nil || v.MemoryFailures != 0 || v.MemoryLimit != 0 {
			t.Errorf("retried with %+v, %v", v.Task, err)
		}
	})
}

func TestATaskThatNobodyTakesTimesOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.startHost(w.host("a"))
		h.Behave = forever
		w.create("large", func(s *skalds.Spec) {
			s.Resources.MemoryBytes, s.Timeouts.Queue = 64<<30, skalds.Duration(30*time.Second)
		})
		time.Sleep(10 * time.Second)
		if task := w.task("large"); task.LifecycleStatus != skalds.Created || !strings.Contains(task.Waiting, "node a has 8192 MiB of memory free, 65536 MiB are needed") {
			t.Errorf("%s, waiting: %q", task.LifecycleStatus, task.Waiting)
		}
		begun := time.Now()
		failed := w.awaitState("large", skalds.Failed)
		if took := time.Since(begun); took > 21*time.Second || !strings.Contains(failed.Exception, "queue time-out") {
			t.Errorf("%q after %s", failed.Exception, took)
		}
	})
}

// TestALostWordIsFound loses the word of an end, and the record of it is stored all the same.
func TestALostWordIsFound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.startHost(w.host("a"))
		h.Behave = func(skalds.Command, int) controllertest.Plan {
			return controllertest.Plan{Runs: 5 * time.Second, Result: json.RawMessage(`1`)}
		}
		w.create("t")
		w.awaitState("t", skalds.Running)
		w.bus.SetLoses(func(m skalds.HostMessage) bool { return m.Report != nil && m.Report.State == skalds.Finished })
		w.await("the end of its process", func() bool { return !h.Runs("t") })
		w.bus.SetLoses(nil)
		begun := time.Now()
		w.awaitState("t", skalds.Finished)
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("found after %s", took)
		}
	})
}

func TestALateFarewellTakesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.startHost(w.host("a"))
		h.Behave = forever
		h.Kill()
		w.startHost(h)
		w.create("t")
		w.awaitState("t", skalds.Running)
		if err := w.bus.Report(skalds.HostMessage{NodeID: "a", Incarnation: 1, Bye: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if task := w.task("t"); task.LifecycleStatus != skalds.Running || task.Epoch != 1 || h.Starts("t") != 1 {
			t.Errorf("%s in epoch %d, started %d times", task.LifecycleStatus, task.Epoch, h.Starts("t"))
		}
	})
}

func TestWorkersThatAreListedAreAccepted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// The store does not take the workers of a node, whose record it has.
		w.store.SetFault(func(op string) error {
			if op == "saveWorkers" {
				return controllertest.ErrDown
			}
			return nil
		})
		w.host("n1").Start()
		time.Sleep(5 * time.Second)
		if list, err := w.Nodes().Workers(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("workers %+v, %v before a task of theirs is accepted", list, err)
		}
		w.store.SetFault(nil)
		w.await("a worker is listed", func() bool {
			list, err := w.Nodes().Workers(t.Context())
			return err == nil && len(list) == 1 && len(list[0].Nodes) == 1
		})
		w.create("a")
	})
}
