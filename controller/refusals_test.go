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

// refusing is what a node does that does not take a task.
func refusing(skalds.Command, int) controllertest.Plan {
	return controllertest.Plan{Refuse: "there is no user nosuch on this node"}
}

func (w *world) startRefusing(n int) {
	w.t.Helper()
	for i := range n {
		h := w.host(fmt.Sprint("n", i+1))
		h.Behave = refusing
		w.startHost(h)
	}
}

func TestATaskThatAllNodesRefuseIsHandedOutSeldom(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 40} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			if raceDetector && nodes > 3 {
				t.Skip("as TestChaos")
			}
			inWorld(t, func(t *testing.T, w *world) {
				w.startRefusing(nodes)
				w.create("t")
				before := int64(0)
				handed := func(d time.Duration) int64 {
					time.Sleep(d)
					synctest.Wait()
					now := w.task("t").Epoch / 2 // +1 with the hand-out, +1 with the refusal
					n := now - before
					before = now
					return n
				}
				if n := handed(time.Minute); n < int64(min(nodes, 3)) || n > 20 {
					t.Errorf("handed out %d times in the first minute", n)
				}
				if nodes <= 3 { // many hosts have many clocks, which take their time
					if n := handed(15 * time.Minute); n < 13 || n > 17 {
						t.Errorf("handed out %d times in the next 15 minutes, want about one a minute", n)
					}
				}
				task := w.task("t")
				if task.LifecycleStatus != skalds.Created || len(task.Moves) > 15 || len(task.Refusals) > nodes {
					t.Errorf("%s with %d moves, refusals %+v", task.LifecycleStatus, len(task.Moves), task.Refusals)
				}
				const reason = "failed or refused the task a moment ago: there is no user nosuch on this node"
				if e, err := w.Tasks().Why(t.Context(), "t"); err != nil || !strings.Contains(e.Summary, reason) || !strings.Contains(task.Waiting, reason) {
					t.Errorf("it waits because %q, %q, %v", e.Summary, task.Waiting, err)
				}
			})
		})
	}
}

func TestTheNodeThatTakesATaskGetsItAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startRefusing(5)
		w.startHost(w.host("z")) // of equal nodes the one with the first name is asked first
		begun := time.Now()
		w.create("t")
		done := w.awaitState("t", skalds.Finished)
		if took := time.Since(begun); done.Executor != "z" || done.Epoch != 11 || took > time.Second {
			t.Errorf("on %q after %s, epoch %d", done.Executor, took, done.Epoch)
		}
		if len(done.Moves)+len(done.Refusals) != 0 || done.AvoidNode != "" {
			t.Errorf("kept after the end: %v, %+v", done.Moves, done.Refusals)
		}
	})
}

// One that is hidden behind more nodes than are asked at once is found all the same: none is asked twice before it.
func TestANodeThatTakesATaskIsFoundAmongMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startRefusing(9)
		w.startHost(w.host("z"))
		w.create("t")
		time.Sleep(time.Minute) // the ninth waits as long as a back-off that has reached its end
		if done := w.awaitState("t", skalds.Finished); done.Executor != "z" || done.Epoch != 19 {
			t.Errorf("on %q, epoch %d", done.Executor, done.Epoch)
		}
	})
}

// Whatever nodes have refused a task before: one that is taken from a lost or draining node goes on at once elsewhere.
func TestAMoveOfTheInfrastructureWaitsForNoRefusal(t *testing.T) {
	for _, way := range []string{"lost", "drained"} {
		t.Run(way, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var hosts []*controllertest.Host
				for i := range 8 {
					h := w.host(fmt.Sprint("n", i+1))
					h.Behave = refusing
					hosts = append(hosts, w.startHost(h))
				}
				w.create("t")
				w.await("eight refusals", func() bool { return len(w.task("t").Moves) == 8 })
				hosts[0].Behave = forever
				w.await("n1 takes it", func() bool { return w.task("t").LifecycleStatus == skalds.Running })
				for _, h := range hosts[1:] {
					h.Behave = forever
				}
				if way == "lost" {
					hosts[0].Kill()
				} else if _, err := w.Nodes().Drain(t.Context(), "n1", nil, "test"); err != nil {
					t.Fatal(err)
				}
				w.await("it is taken back", func() bool { return w.task("t").Executor != "n1" })
				taken := time.Now()
				w.await("it runs elsewhere", func() bool {
					task := w.task("t")
					return task.LifecycleStatus == skalds.Running && task.Executor != "n1"
				})
				if took := time.Since(taken); took > 100*time.Millisecond {
					t.Errorf("it waited for %s", took)
				}
			})
		})
	}
}
