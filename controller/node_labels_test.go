package controller_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
)

func labels(pairs ...string) map[string]*string {
	out := map[string]*string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = &pairs[i+1]
	}
	return out
}

// What people say of a node wins over what its host says, and holds over restarts of both.
func TestLabelsOfPeopleWinOverThoseOfTheHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.host("n1")
		h.Labels = map[string]string{"zone": "a", "arch": "amd64"}
		w.startHost(h)
		if _, err := w.Nodes().SetLabels(t.Context(), "n1", labels("zone", "b", "gpu", "true"), true, "anna"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"zone=b", "gpu", "arch=amd64"} {
			w.create(id, func(s *skalds.Spec) { s.Constraints = []string{id} })
			w.awaitState(id, skalds.Finished)
		}
		w.create("old", func(s *skalds.Spec) { s.Constraints = []string{"zone=a"} })
		if task := w.task("old"); task.LifecycleStatus != skalds.Created || !strings.Contains(task.Waiting, "zone=a") {
			t.Fatalf("a task for the label that was written over is %s: %s", task.LifecycleStatus, task.Waiting)
		}
		w.stop()
		h.Kill()
		w.start()
		w.startHost(h)
		w.create("after", func(s *skalds.Spec) { s.Constraints = []string{"zone=b"} })
		w.awaitState("after", skalds.Finished)
		v, err := w.Nodes().SetLabels(t.Context(), "n1", map[string]*string{"zone": nil}, false, "anna")
		if err != nil || !maps.Equal(v.Labels, map[string]string{"gpu": "true"}) {
			t.Fatalf("given %v, %v", v.Labels, err)
		}
		w.awaitState("old", skalds.Finished) // what its host announces counts again
		if e := w.nodeAudit("n1", "label"); e.Who != "anna" || !strings.Contains(string(e.Before), `"zone":"b"`) || strings.Contains(string(e.After), "zone") {
			t.Errorf("the audit says %s: %s, then %s", e.Who, e.Before, e.After)
		}
	})
}

func TestLabelsThatAreNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(w.host("n1"))
		many := map[string]*string{}
		for i := range 65 {
			many[strings.Repeat("x", i+1)] = new(string)
			*many[strings.Repeat("x", i+1)] = "y"
		}
		for field, list := range map[string]map[string]*string{
			"labels.":        labels("", "a"),
			"labels.a=b":     labels("a=b", "c"),
			"labels.a b":     labels("a b", "c"),
			"labels.a":       labels("a", ""),
			"labels.b":       labels("b", " c"),
			"labels.c":       labels("c", strings.Repeat("x", 257)),
			"labels":         many,
			"labels.unknown": labels("unknown", "a=b"),
		} {
			_, err := w.Nodes().SetLabels(t.Context(), "n1", list, true, "test")
			if skalds.CodeOf(err) != skalds.CodeInvalid || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := w.Nodes().SetLabels(t.Context(), "nope", labels("a", "b"), true, "test"); skalds.CodeOf(err) != skalds.CodeNotFound {
			t.Errorf("an unknown node: %v", err)
		}
	})
}
