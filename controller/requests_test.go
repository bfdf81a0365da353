package controller_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
)

// TestRequestsBetweenTwoLeaders has wishes come while nobody leads: after one was killed, and after one has stopped.
func TestRequestsBetweenTwoLeaders(t *testing.T) {
	inSeveral(t, 3, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		h := s.startHost(s.host("n1"))
		h.Behave = forever
		for _, id := range []string{"a", "b", "c"} {
			leader.create(t, id)
			s.awaitState(id, skalds.Running)
		}
		wish := func(topic string, ids ...string) { s.bus.Request(topic, skalds.TaskEvent{TaskIDs: ids}) }
		leader.store.shut.Store(true) // killed
		time.Sleep(100 * time.Millisecond)
		wish(skalds.TopicTaskCancel, "a")
		wish(skalds.TopicTaskUpdate, "b")
		next, _ := s.awaitLeader()
		s.awaitState("a", skalds.Cancelled)
		s.await("b's node has heard of its update", func() bool { b := s.task("b"); return b.DesiredRevision == 2 && b.AckedRevision == 2 })
		if _, err := next.Tasks().Retry(t.Context(), "a", "test"); err != nil {
			t.Fatal(err)
		}
		s.awaitState("a", skalds.Running)

		s.end(next)
		wish(skalds.TopicTaskCancel, "c")
		s.awaitLeader()
		s.awaitState("c", skalds.Cancelled)
		time.Sleep(time.Minute)
		synctest.Wait()
		if a, b := s.task("a"), s.task("b"); a.LifecycleStatus != skalds.Running || a.Run != 1 || b.DesiredRevision != 2 {
			t.Errorf("wishes were carried out again: %+v, %+v", a, b)
		}
	})
}

// TestRequestsWhileTheStoreIsAway are carried out when it is back.
func TestRequestsWhileTheStoreIsAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.startHost(w.host("n1"))
		h.Behave = forever
		w.create("a")
		w.awaitState("a", skalds.Running)
		w.store.SetFault(func(string) error { return errors.New("the store is away") })
		w.bus.Request(skalds.TopicTaskCancel, skalds.TaskEvent{TaskIDs: []string{"none", "a"}})
		time.Sleep(5 * time.Second)
		w.store.SetFault(nil)
		w.awaitState("a", skalds.Cancelled)
		w.await("its process is gone", func() bool { return !h.Runs("a") })
	})
}
