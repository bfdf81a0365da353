package controller

import (
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

func TestWaitingOrder(t *testing.T) {
	w := newWaiting()
	add := func(id string, priority int, waited time.Duration) {
		w.add(taskIn(skalds.Created, func(t *skalds.Task) {
			t.ID, t.Priority, t.QueuedAt = id, priority, now-waited.Milliseconds()
		}), "", now)
	}
	add("young", 0, 0)
	add("old", 0, 30*time.Second)
	add("urgent", 1, 0)
	add("most urgent", 10, 0)
	add("starving", 0, 11*time.Minute)
	add("tired", 5, 4*time.Minute+30*time.Second)
	w.add(taskIn(skalds.Created, func(t *skalds.Task) { t.ID, t.ClassName, t.Priority = "elsewhere", "Other", 10; t.QueuedAt = now + 1 }), "", now)
	add("leaves", 10, time.Hour)
	w.remove("leaves")
	for _, want := range []string{"starving", "most urgent", "elsewhere", "tired", "urgent", "old", "young"} {
		r, ok := w.next()
		if !ok || r.TaskID != want {
			t.Fatalf("next is %q, want %q", r.TaskID, want)
		}
		w.remove(r.TaskID)
	}
	if _, ok := w.next(); ok || w.len() != 0 || len(w.lines) != 0 {
		t.Error("something is left")
	}
}

func TestWaitingLines(t *testing.T) {
	w := newWaiting()
	add := func(id, class string, change ...func(*skalds.Task)) {
		w.add(taskIn(skalds.Created, append([]func(*skalds.Task){func(t *skalds.Task) { t.ID, t.ClassName = id, class }}, change...)...), "", now)
	}
	add("a1", "A")
	add("a2", "A")
	add("b1", "B")
	w.block("a1")
	if r, _ := w.next(); r.TaskID != "b1" {
		t.Errorf("next is %q: tasks that fit nowhere hold up others", r.TaskID)
	}
	w.block("b1")
	if r, ok := w.next(); ok {
		t.Errorf("next is %q, though nothing fits", r.TaskID)
	}
	asked := 0
	ask := func() string { asked++; return "full" }
	for range 3 {
		for _, id := range []string{"a1", "a2"} {
			if why := w.why(id, time.UnixMilli(now), func(*dispatch.Request) string { return ask() }); why != "full" {
				t.Errorf("%s waits because %q", id, why)
			}
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for one line within a second", asked)
	}
	if w.unblock(); w.len() != 3 {
		t.Errorf("%d wait", w.len())
	}
	if r, ok := w.next(); !ok || r.TaskID != "a1" {
		t.Errorf("next is %q", r.TaskID)
	}
	add("late", "A", func(t *skalds.Task) { t.Timeouts.Queue = skalds.Duration(time.Second) })
	add("avoids", "A", func(t *skalds.Task) { t.AvoidNode, t.NextAttemptAt = "n1", now+500 })
	said := func(id, why string) {
		add(id, "A", func(t *skalds.Task) {
			t.AvoidNode, t.NextAttemptAt, t.Refusals = "n1", now+500, []skalds.Refusal{{Node: "n1", Why: why}}
		})
	}
	said("no user", "no such user")
	said("no path", "no such path")
	if w.where["no user"].line != w.where["no path"].line || w.where["no user"].line != w.where["avoids"].line {
		t.Error("what a node said makes a line of its own")
	}
	for range 2 {
		for id, want := range map[string]string{"no user": "no such user", "no path": "no such path", "avoids": ""} {
			if why := w.why(id, time.UnixMilli(now), func(r *dispatch.Request) string { return r.Said["n1"] }); why != want {
				t.Errorf("%s waits because %q", id, why)
			}
		}
	}
	w.remove("no user")
	w.remove("no path")
	for at, want := range map[int64][2]int{now - 1: {0, 0}, now: {1, 0}, now + 500: {1, 1}} {
		if timedOut, again := w.due(at); len(timedOut) != want[0] || len(again) != want[1] {
			t.Errorf("after %d ms: timed out %v, to be asked again %v", at-now, timedOut, again)
		}
	}
}
