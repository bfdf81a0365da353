package host

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
)

func TestLimitsHook(t *testing.T) {
	class := skalds.Limits{CPUCores: 1, MemoryBytes: 100, PIDs: 10, IOWeight: 50}
	for name, c := range map[string]struct{ task, class, want skalds.Limits }{
		"the task says nothing": {skalds.Limits{}, class, class},
		"the task says one":     {skalds.Limits{MemoryBytes: 7}, class, skalds.Limits{CPUCores: 1, MemoryBytes: 7, PIDs: 10, IOWeight: 50}},
		"nobody says anything":  {skalds.Limits{}, skalds.Limits{}, skalds.Limits{}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &attempt{task: skalds.Spec{Limits: c.task}, class: &skalds.ClassInfo{Limits: c.class}}
			if err := (limitsHook{}).before(t.Context(), a); err != nil || a.limits != c.want {
				t.Errorf("%+v %v", a.limits, err)
			}
		})
	}
}

func TestIsolationHook(t *testing.T) {
	able := skalds.NodeAbilities{skalds.AbilityLandlock: "the kernel has none", skalds.AbilityUID: ""}
	for name, c := range map[string]struct {
		asks    skalds.Isolation
		refused string
	}{
		"nothing":            {},
		"what it can":        {asks: skalds.Isolation{User: "1000:1000"}},
		"what it cannot":     {skalds.Isolation{User: "1000:1000", Paths: &skalds.Paths{}}, "this node lacks what the task needs: landlock: the kernel has none"},
		"what it never said": {skalds.Isolation{NoNewPrivileges: true}, "this node lacks what the task needs: no_new_privs: its host has not said that it can"},
		"an unknown user":    {skalds.Isolation{User: "no-such-user-here"}, "there is no user no-such-user-here on this node"},
	} {
		t.Run(name, func(t *testing.T) {
			err := (isolationHook{}).before(t.Context(), &attempt{deps: &runnerDeps{isolation: able}, task: skalds.Spec{ID: "a", Isolation: c.asks}})
			if c.refused == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if r, ok := err.(*refusal); !ok || r.reason != c.refused || r.permanent || r.passing {
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestAttachmentsHook(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	deps := &runnerDeps{schemas: &schemaCache{}, secrets: secrets{dir}}
	class := &skalds.ClassInfo{ClassName: "R", Schema: json.RawMessage(`{"type":"object","required":["url"],"additionalProperties":false,
		"properties":{"url":{"type":"string"},"fps":{"type":"integer","minimum":1}}}`)}
	for name, c := range map[string]struct {
		doc, filled, refused string
		permanent            bool
	}{
		"right":             {doc: `{"url":"rtsp://a"}`, filled: `{"url":"rtsp://a"}`},
		"with a secret":     {doc: `{"url":"rtsp://u:${secret:pw}@a"}`, filled: `{"url":"rtsp://u:hunter2@a"}`},
		"a missing field":   {doc: `{}`, refused: "attachments.url: is missing", permanent: true},
		"an unknown field":  {doc: `{"url":"a","frames":1}`, refused: "attachments.frames: is unknown", permanent: true},
		"a wrong value":     {doc: `{"url":"a","fps":0}`, refused: "attachments.fps", permanent: true},
		"an unknown secret": {doc: `{"url":"${secret:nope}"}`, refused: "nope"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &attempt{deps: deps, class: class, attachments: json.RawMessage(c.doc)}
			err := (attachmentsHook{}).before(t.Context(), a)
			if c.refused == "" {
				if err != nil || string(a.filled) != c.filled {
					t.Errorf("%s %v", a.filled, err)
				}
				return
			}
			r, ok := err.(*refusal)
			if !ok || !strings.Contains(r.reason, c.refused) || r.permanent != c.permanent || strings.Contains(r.reason, "hunter2") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestDataDirHook(t *testing.T) {
	dir := t.TempDir()
	a := &attempt{
		task: skalds.Spec{ID: "cam/../1"}, deps: &runnerDeps{dataDir: dir, checkpoints: checkpoints{dir}},
		class: &skalds.ClassInfo{Capabilities: []string{"checkpoint"}}, log: hclog.NewNullLogger(),
	}
	if err := a.deps.checkpoints.save(a.task.ID, []byte("state")); err != nil {
		t.Fatal(err)
	}
	if err := (dataDirHook{}).before(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(a.dataDir) != filepath.Join(dir, "recordings") || string(a.checkpoint) != "state" {
		t.Errorf("%s %q", a.dataDir, a.checkpoint)
	}
	t.Run("an empty folder goes with the attempt, another stays", func(t *testing.T) {
		left := func() string {
			t.Helper()
			dataDirHook{}.after(a)
			names, err := filepath.Glob(filepath.Join(dir, "recordings", "*"))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(names, " ")
		}
		if got := left(); got != "" {
			t.Errorf("%s is left", got)
		}
		if err := (dataDirHook{}).before(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(a.dataDir, "1.mp4"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := left(); got != a.dataDir {
			t.Errorf("%q is left, not %s", got, a.dataDir)
		}
		elsewhere := t.TempDir()
		a.dataDir = filepath.Join(dir, "recordings", "link")
		if err := os.Symlink(elsewhere, a.dataDir); err != nil {
			t.Fatal(err)
		}
		if got := left(); !strings.Contains(got, a.dataDir) {
			t.Error("a link to an empty folder was removed")
		}
		(dataDirHook{}).after(&attempt{}) // before was refused
	})
	t.Run("a disk that takes nothing", func(t *testing.T) {
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		a.deps = &runnerDeps{dataDir: file}
		err := (dataDirHook{}).before(t.Context(), a)
		if r, ok := err.(*refusal); !ok || r.permanent {
			t.Errorf("%v", err)
		}
	})
}

func TestResolveHook(t *testing.T) {
	m := newMachine(t)
	c := plugins.NewCatalog(plugins.CatalogConfig{Dir: m.workers}, nil)
	if err := c.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	running := 0
	deps := &runnerDeps{catalog: c, running: func(string, string) int { return running }}
	resolve := func(class, version string) (*attempt, error) {
		a := &attempt{task: skalds.Spec{ID: "a", ClassName: class, Version: version}, deps: deps, log: hclog.NewNullLogger(), tell: func(any) {}}
		return a, resolveHook{}.before(t.Context(), a)
	}
	if a, err := resolve("Single", "^1"); err != nil || a.plugin.Info.Ref() != "scripted@1.0.0" || a.class.ClassName != "Single" {
		t.Errorf("%v", err)
	}
	for _, c := range [][2]string{{"Nothing", ""}, {"Script", "^2"}} {
		if _, err := resolve(c[0], c[1]); err == nil {
			t.Errorf("%v was resolved", c)
		}
	}
	running = 1
	if _, err := resolve("Single", ""); err == nil || !strings.Contains(err.Error(), "as many as it may") {
		t.Errorf("%v", err)
	}
}

func TestServicesHookTakesTheRightToWriteAway(t *testing.T) {
	a := &attempt{task: skalds.Spec{ID: "a"}, deps: &runnerDeps{reporter: &reporter{}, cache: newMemoryCache(nil)}}
	if err := (servicesHook{}).before(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	servicesHook{}.after(a)
	if err := a.services.CacheDelete(t.Context(), "k"); err == nil {
		t.Error("an attempt that is over can write")
	}
}
