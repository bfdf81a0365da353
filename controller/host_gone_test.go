package controller_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// tell puts messages on the bus.
func (w *world) tell(msgs ...skalds.HostMessage) {
	w.t.Helper()
	if err := w.bus.Report(msgs...); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// twoHosts starts a with tasks that run for ever, then b.
func twoHosts(w *world, tasks ...string) (a, b *controllertest.Host) {
	a = w.startHost(w.host("a"))
	a.Behave = forever
	for _, id := range tasks {
		w.create(id, func(s *skalds.Spec) {
			if id == "keeps" {
				s.OnDisconnect = skalds.OnDisconnectKeep
			}
		})
		w.awaitState(id, skalds.Running)
	}
	b = w.startHost(w.host("b"))
	b.Behave = forever
	return a, b
}

func (w *world) online(node string) bool {
	w.t.Helper()
	n, err := w.Nodes().Node(w.t.Context(), node)
	if err != nil {
		w.t.Fatal(err)
	}
	return n.Online
}

func TestTasksOfAGoneHostMoveAtOnce(t *testing.T) {
	for name, end := range map[string]func(h *controllertest.Host) []skalds.HostMessage{
		"dead":   func(h *controllertest.Host) []skalds.HostMessage { return h.Crash() },
		"silent": func(h *controllertest.Host) []skalds.HostMessage { return h.Freeze() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := twoHosts(w, "stops", "keeps")
				begun := time.Now()
				w.tell(end(a)...)
				if w.online("a") {
					t.Error("its node is still shown as online")
				}
				w.await("both on b", func() bool { return b.Runs("stops") && b.Runs("keeps") })
				if took := time.Since(begun); took > time.Second {
					t.Errorf("moved after %s", took)
				}
				for _, id := range []string{"stops", "keeps"} {
					task := w.awaitState(id, skalds.Running)
					if task.Epoch != 3 || task.BudgetUsed != 0 || len(task.NodeLosses) != 1 || task.LastExit == nil || task.LastExit.Kind != skalds.ExitNodeLost {
						t.Errorf("%s moved as %+v", id, task)
					}
					list, err := w.Tasks().Attempts(t.Context(), id)
					if err != nil || len(list) == 0 || list[0].Exit == nil || list[0].Exit.Kind != skalds.ExitNodeLost || list[0].Node != "a" {
						t.Errorf("%s has the attempts %+v, %v", id, list, err)
					}
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if n, err := w.Nodes().Node(t.Context(), "a"); err != nil || n.Online || n.LostAt == 0 {
					t.Errorf("after its lease the node is %+v, %v", n, err)
				}
			})
		})
	}
}

func TestOnlyWhatIsNamedMovesAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := twoHosts(w, "one", "two")
		told := a.Crash() // first that the host is gone, then a word for each
		begun := time.Now()
		w.tell(told[0], told[1])
		w.await("one on b", func() bool { return b.Runs("one") })
		if took := time.Since(begun); took > time.Second || b.Runs("two") {
			t.Errorf("one moved after %s, two moved: %v", took, b.Runs("two"))
		}
		time.Sleep(2 * time.Second)
		w.tell(told[2])
		w.await("two on b", func() bool { return b.Runs("two") })
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("two moved after %s", took)
		}
	})
}

func TestWhatIsNotNamedMovesAfterTheLease(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := twoHosts(w, "one", "two")
		begun := time.Now()
		w.tell(a.Crash()[:2]...)
		w.await("two on b", func() bool { return b.Runs("two") })
		if took := time.Since(begun); took < 5*time.Second || took > 9*time.Second {
			t.Errorf("moved after %s: want more than a lease, and no more than nine seconds", took)
		}
		if task := w.task("one"); task.Epoch != 3 || b.Starts("one") != 1 {
			t.Errorf("the end of the lease has moved again what was named: epoch %d", task.Epoch)
		}
	})
}

func TestAGoneHostGetsNothingBeforeAHello(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.startHost(w.host("a"))
		a.Behave = forever
		w.create("t")
		w.awaitState("t", skalds.Running)
		w.tell(a.Freeze()...)
		if task := w.awaitState("t", skalds.Created); task.Epoch != 2 {
			t.Errorf("epoch %d", task.Epoch)
		}
		time.Sleep(3 * time.Second)
		if n := a.Starts("t"); n != 1 || w.task("t").LifecycleStatus != skalds.Created {
			t.Errorf("handed out to a silent host: started %d times", n)
		}
		hellos := len(a.Received())
		a.Thaw() // within its lease: it says nothing by itself
		task := w.awaitState("t", skalds.Running)
		if task.Epoch != 3 || a.Incarnation() != 1 || a.Starts("t") != 2 {
			t.Errorf("epoch %d, incarnation %d, started %d times", task.Epoch, a.Incarnation(), a.Starts("t"))
		}
		asked := false
		for _, m := range a.Received()[hellos:] {
			asked = asked || m.AskHello
		}
		if !asked {
			t.Error("the host that has woken up was not asked for a hello")
		}
	})
}

func TestALateWordOfAGoneHostChangesNothing(t *testing.T) {
	for name, when := range map[string]func(w *world, a, b *controllertest.Host){
		"after the hello of its next self": func(w *world, a, b *controllertest.Host) { w.startHost(a) },
		"after its lease":                  func(w *world, a, b *controllertest.Host) { w.await("it on b", func() bool { return b.Runs("t") }) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := twoHosts(w, "t")
				told := a.Crash()
				when(w, a, b)
				w.awaitState("t", skalds.Running)
				before, online := w.task("t"), w.online("a")
				now := skalds.HostMessage{NodeID: "a", Incarnation: 1, Gone: &skalds.HostGone{Tasks: []skalds.GoneTask{{TaskID: "t", Epoch: before.Epoch}}}}
				if before.Executor == "a" { // a later self may have taken over a process of its former one
					told = append(told, now)
				}
				w.tell(append(told, told...)...)
				if w.online("a") != online {
					t.Errorf("its node was online %v, then %v", online, w.online("a"))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if after := w.task("t"); after.Epoch != before.Epoch || after.Executor != before.Executor || a.Starts("t")+b.Starts("t") != 2 {
					t.Errorf("epoch %d on %s became %d on %s", before.Epoch, before.Executor, after.Epoch, after.Executor)
				}
				if w.online("a") != online {
					t.Errorf("its node was online %v, then %v", online, w.online("a"))
				}
			})
		})
	}
}

func TestAWordToAControllerThatIsAwayCountsLater(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := twoHosts(w, "t")
		w.stop()
		w.tell(a.Crash()...)
		begun := time.Now()
		w.start()
		w.await("it on b", func() bool { return b.Runs("t") })
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("moved after %s", took)
		}
	})
}

func TestARetryWaitsUntilTheOldProcessIsKnownDead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := twoHosts(w, "keeps")
		told := a.Crash()
		w.await("the end of its lease", func() bool { return !w.online("a") })
		if _, err := w.Tasks().Cancel(t.Context(), "keeps", "test"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Tasks().Retry(t.Context(), "keeps", "test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if task := w.task("keeps"); b.Starts("keeps") != 0 || task.LifecycleStatus != skalds.Created || task.Waiting == "" {
			t.Fatalf("%s, waiting %q, started %d times elsewhere: its old process may live", task.LifecycleStatus, task.Waiting, b.Starts("keeps"))
		}
		w.tell(told...)
		w.await("it on b", func() bool { return b.Runs("keeps") })
	})
}

func TestATaskThatKillsHostsIsQuarantined(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 3 {
			h := w.host(fmt.Sprint("n", i))
			h.Behave = forever
			if w.startHost(h); i == 0 {
				w.create("killer")
			}
			w.awaitState("killer", skalds.Running)
			told := h.Crash()
			w.tell(append(told, told...)...)
			w.awaitState("killer", skalds.Created)
		}
		if task := w.task("killer"); task.Quarantined == "" || len(task.NodeLosses) != 3 {
			t.Errorf("after three hosts: quarantined %q, losses %v", task.Quarantined, task.NodeLosses)
		}
	})
}
