package host

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
)

func TestPlanEdge(t *testing.T) {
	spec := func(id, class, att string) skalds.Spec {
		return skalds.Spec{ID: id, ClassName: class, Attachments: json.RawMessage(att), Mode: skalds.ModeActive}
	}
	known := map[string]skalds.Spec{
		"same":    spec("same", "R", `{"a":1,"b":2}`),
		"updated": spec("updated", "R", `{"a":1}`),
		"altered": spec("altered", "R", `{}`),
		"gone":    spec("gone", "R", `{}`),
		"broken":  spec("broken", "R", `{}`),
	}
	now := []skalds.Spec{
		spec("same", "R", `{"b":2, "a":1}`), spec("updated", "R", `{"a":2}`), spec("altered", "S", `{}`), spec("new", "R", `{}`),
	}
	now[0].CreateDateTime = 5
	var got []string
	for _, s := range planEdge(known, now, map[string]bool{"broken": true, "unheard": true}) {
		got = append(got, fmt.Sprintf("%s:%d", s.id, s.change))
	}
	want := []string{"gone:2", "updated:3", "altered:4", "new:1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEdgeStart(t *testing.T) {
	spec := skalds.Spec{ID: "a", ClassName: "R"}
	persistent := spec
	persistent.IsPersistent = true
	rec := func(s skalds.Spec, state skalds.State) edgeRecord {
		return edgeRecord{EntryHash: entryHash(s), State: state}
	}
	for name, c := range map[string]struct {
		rec        edgeRecord
		known      bool
		spec       skalds.Spec
		run, retry bool
	}{
		"new":                     {edgeRecord{}, false, spec, true, false},
		"was running":             {rec(spec, skalds.Running), true, spec, true, false},
		"finished":                {rec(spec, skalds.Finished), true, spec, false, false},
		"finished and persistent": {rec(persistent, skalds.Finished), true, persistent, true, false},
		"failed":                  {rec(spec, skalds.Failed), true, spec, false, false},
		"cancelled, persistent":   {rec(persistent, skalds.Cancelled), true, persistent, false, false},
		"finished, then changed":  {rec(persistent, skalds.Finished), true, spec, true, true},
		"cancelled, then changed": {rec(persistent, skalds.Cancelled), true, spec, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if run, retry := edgeStart(c.rec, c.known, c.spec); run != c.run || retry != c.retry {
				t.Errorf("run %v retry %v", run, retry)
			}
		})
	}
}

func TestSyncAttachments(t *testing.T) {
	for _, c := range []struct {
		file, base, store string
		want              syncAction
	}{
		{"x", "x", "x", syncAlike},
		{"y", "x", "y", syncAlike},
		{"x", "", "x", syncAlike},
		{"y", "x", "x", syncFileWins},
		{"x", "x", "y", syncStoreWins},
		{"y", "x", "z", syncConflict},
		{"y", "", "z", syncConflict},
	} {
		if got := syncAttachments(c.file, c.base, c.store); got != c.want {
			t.Errorf("file %q base %q store %q: %d, want %d", c.file, c.base, c.store, got, c.want)
		}
	}
}
