package controller_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
)

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
