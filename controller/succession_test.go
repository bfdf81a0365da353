package controller_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// beside is a line for a second host under the id of one that has an inbox.
type beside struct {
	*controllertest.Bus
	inbox chan skalds.NodeMessage
}

func (b beside) Inbox(string) <-chan skalds.NodeMessage { return b.inbox }
func (b beside) Unplug(string)                          {}

// twin is another host under the id of a, with a folder of its own: it counts a higher incarnation.
func (w *world) twin(a *controllertest.Host) *controllertest.Host {
	line := beside{w.bus, make(chan skalds.NodeMessage, 10_000)}
	w.bus.SetWatch(func(m skalds.NodeMessage) {
		if m.NodeID == a.ID {
			select {
			case line.inbox <- m:
			default:
			}
		}
	}, func(skalds.HostMessage) {})
	b := controllertest.NewHost(line, a.ID)
	b.Behave = forever
	b.CountFrom(a.Incarnation() + 1000)
	w.hosts = append(w.hosts, b)
	return b
}

// TestASecondHostUnderANodesIDTakesNothingAway has it come in every way in which it can: the one that was there goes on with its tasks.
func TestASecondHostUnderANodesIDTakesNothingAway(t *testing.T) {
	for name, come := range map[string]func(w *world, b *controllertest.Host){
		"says goodbye before it was anything": func(w *world, b *controllertest.Host) {
			w.tell(skalds.HostMessage{NodeID: b.ID, Incarnation: b.Incarnation() + 1, Bye: true})
		},
		"is killed before it was anything": func(w *world, b *controllertest.Host) {
			w.tell(skalds.HostMessage{NodeID: b.ID, Incarnation: b.Incarnation() + 1, Gone: &skalds.HostGone{}})
		},
		"says hello and goodbye": func(w *world, b *controllertest.Host) { b.Start(); b.Stop() },
		"says hello, beats for a while, says goodbye": func(w *world, b *controllertest.Host) {
			b.Start()
			time.Sleep(2500 * time.Millisecond)
			b.Stop()
		},
		"says hello, beats for a while, is killed": func(w *world, b *controllertest.Host) {
			b.Start()
			time.Sleep(2500 * time.Millisecond)
			w.tell(b.Crash()...)
		},
		"goes on": func(w *world, b *controllertest.Host) {
			b.Start()
			w.await("it is refused", func() bool {
				for _, m := range b.Received() {
					if m.Answer != nil && m.Answer.Refused != "" && m.Answer.Incarnation == b.Incarnation() {
						return true
					}
				}
				return false
			})
			b.Kill()
		},
		"goes on while the heartbeat store is away": func(w *world, b *controllertest.Host) {
			w.bus.SetBeatsDown(errors.New("away"))
			b.Start()
			time.Sleep(4 * time.Second)
			b.Stop()
			w.bus.SetBeatsDown(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, other := twoHosts(w, "t1", "t2")
				b := w.twin(a)
				come(w, b)
				time.Sleep(time.Minute)
				synctest.Wait()
				for _, id := range []string{"t1", "t2"} {
					if task := w.task(id); task.Epoch != 1 || task.Executor != "a" || !a.Runs(id) || a.Starts(id) != 1 || other.Starts(id)+b.Starts(id) != 0 {
						t.Errorf("%s is %s on %s with epoch %d, was started %d times there, %d elsewhere", id, task.LifecycleStatus, task.Executor, task.Epoch, a.Starts(id), other.Starts(id)+b.Starts(id))
					}
				}
				if !w.online("a") {
					t.Error("the node is shown as gone")
				}
				if _, err := w.Nodes().Cordon(t.Context(), other.ID, true, "test"); err != nil {
					t.Fatal(err)
				}
				w.create("later")
				if task := w.awaitState("later", skalds.Running); task.Executor != "a" {
					t.Errorf("a task later runs on %s", task.Executor)
				}
			})
		})
	}
}

// TestWhatASecondHostAnswersDoesNotCount: it reads the commands of the node, and knows nothing of the task that is to end.
func TestWhatASecondHostAnswersDoesNotCount(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, other := twoHosts(w, "t")
		task := w.task("t")
		a.SetCut(true) // for a moment
		if _, err := w.Tasks().Pause(t.Context(), "t", "test"); err != nil {
			t.Fatal(err)
		}
		w.tell(skalds.HostMessage{NodeID: "a", Incarnation: 1000, Report: &skalds.Report{
			TaskID: "t", Epoch: task.Epoch, DesiredRevision: w.task("t").DesiredRevision, Seq: 1, Ack: skalds.AckRefused, Reason: "the task has left this host",
		}})
		if after := w.task("t"); after.Epoch != task.Epoch || after.AckedRevision >= after.DesiredRevision {
			t.Errorf("%s with epoch %d, revision %d of %d is acknowledged", after.LifecycleStatus, after.Epoch, after.AckedRevision, after.DesiredRevision)
		}
		a.SetCut(false)
		w.awaitState("t", skalds.Paused)
		if a.Starts("t") != 1 || other.Starts("t") != 0 {
			t.Error("it was started again")
		}
	})
}

// TestARestartOfWhichNothingIsToldIsQuick: nobody has said that the host before is dead, but it is not heard any more.
func TestARestartOfWhichNothingIsToldIsQuick(t *testing.T) {
	for name, tt := range map[string]struct {
		end   func(w *world, a *controllertest.Host)
		bound time.Duration
	}{
		"killed with all that watches over it": {func(_ *world, a *controllertest.Host) { a.Kill() }, 3500 * time.Millisecond},
		"killed":                               {func(w *world, a *controllertest.Host) { w.tell(a.Crash()...) }, 100 * time.Millisecond},
		"stopped":                              {func(_ *world, a *controllertest.Host) { a.Stop() }, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.startHost(w.host("a"))
				a.Behave = forever
				w.create("t")
				w.awaitState("t", skalds.Running)
				tt.end(w, a)
				begun := time.Now()
				w.startHost(a)
				w.await("it runs again", func() bool { return a.Runs("t") })
				if took := time.Since(begun); took > tt.bound {
					t.Errorf("after %s", took)
				}
				if a.Starts("t") != 2 {
					t.Errorf("started %d times", a.Starts("t"))
				}
			})
		})
	}
}
