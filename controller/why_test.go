package controller_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
)

func TestATaskGoesWhereItCanBeIsolated(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(w.host("old"))
		cannot := w.host("cannot")
		cannot.Isolation = skalds.NodeAbilities{skalds.AbilityLandlock: "the kernel has none", skalds.AbilityUID: ""}
		w.startHost(cannot)
		w.create("caged", func(s *skalds.Spec) { s.Isolation = skalds.Isolation{User: "1000:1000", Paths: &skalds.Paths{}} })
		w.await("a reason", func() bool { return w.task("caged").Waiting != "" })
		e, err := w.Tasks().Why(t.Context(), "caged")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"node cannot lacks what the task needs: landlock: the kernel has none",
			"node old lacks what the task needs: uid: its host has not said that it can; landlock: its host has not said that it can",
		} {
			if !strings.Contains(e.Summary, want) {
				t.Errorf("%q says nothing of %q", e.Summary, want)
			}
			if waiting := w.task("caged").Waiting; !strings.Contains(waiting, want) {
				t.Errorf("the task waits because %q", waiting)
			}
		}
		can := w.host("can")
		can.Isolation = skalds.NodeAbilities{skalds.AbilityLandlock: "", skalds.AbilityUID: ""}
		w.startHost(can)
		if done := w.awaitState("caged", skalds.Finished); done.Executor != "can" {
			t.Errorf("it ran on %s", done.Executor)
		}
	})
}

func TestANodeThatDoesNotAnswerIsNamed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(w.host("n1"))
		if v, err := w.Nodes().Node(t.Context(), "n1"); err != nil || !v.Greeted {
			t.Errorf("a node that may get tasks: %+v, %v", v, err)
		}
		w.bus.SetFate(func(string) controllertest.Fate { return controllertest.Lost })
		w.create("a")
		w.awaitState("a", skalds.Assigning)
		summary := func() string {
			e, err := w.Tasks().Why(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			return e.Summary
		}
		if s := summary(); s != "Assigning on node n1" {
			t.Errorf("at once: %q", s)
		}
		time.Sleep(45 * time.Second)
		synctest.Wait()
		if s := summary(); !strings.HasSuffix(s, "n1; the node has not answered the command for 45s") {
			t.Errorf("after 45 s: %q", s)
		}
		if v, err := w.Nodes().Node(t.Context(), "n1"); err != nil || !v.Online || v.Greeted {
			t.Errorf("a node that was asked for a hello: online %v, greeted %v, %v", v.Online, v.Greeted, err)
		}
		w.bus.SetFate(nil)
		w.awaitState("a", skalds.Finished)
	})
}
