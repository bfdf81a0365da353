package host

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

func TestHostServices(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "camera-password"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var outcomes []skalds.Outcome
	h := &hostServices{
		task: "cam", node: "n1", attempt: 2, epoch: func() int64 { return 5 },
		cache: newMemoryCache(time.Now), checkpoints: checkpoints{dir}, secrets: secrets{dir},
		outcome: func(o skalds.Outcome) { outcomes = append(outcomes, o) },
	}
	ctx := t.Context()
	if err := h.CacheSet(ctx, "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if v, found, err := h.CacheGet(ctx, "k"); string(v) != "v" || !found || err != nil {
		t.Errorf("%q %v %v", v, found, err)
	}
	if _, found, _ := h.LoadCheckpoint(ctx); found {
		t.Error("a checkpoint before one was saved")
	}
	if err := h.SaveCheckpoint(ctx, []byte("state")); err != nil {
		t.Fatal(err)
	}
	if s, found, err := h.LoadCheckpoint(ctx); string(s) != "state" || !found || err != nil {
		t.Errorf("%q %v %v", s, found, err)
	}
	if s, err := h.Secret(ctx, "camera-password"); s != "hunter2" || err != nil {
		t.Errorf("%q %v", s, err)
	}
	for _, name := range []string{"other", "../journal", ""} {
		if _, err := h.Secret(ctx, name); err == nil || errors.Is(err, os.ErrExist) {
			t.Errorf("secret %q: %v", name, err)
		}
	}
	if err := h.ReportArtifact(ctx, protocol.Artifact{Kind: "recording", Path: "/r/a.mp4", StartedAt: time.UnixMilli(7)}); err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != 1 || outcomes[0].Epoch != 5 || outcomes[0].Artifact.StartedAt != 7 || outcomes[0].Artifact.EndedAt != 0 {
		t.Errorf("%+v", outcomes)
	}
	for name, a := range map[string]protocol.Artifact{
		"no path":          {Kind: "file"},
		"meta is no JSON":  {Path: "x", Meta: json.RawMessage(`{"a":`)},
		"meta is large":    {Path: "x", Meta: json.RawMessage(strconv.Quote(strings.Repeat("m", protocol.MaxArtifactMeta)))},
		"path is long":     {Path: strings.Repeat("p", protocol.MaxArtifactPath+1)},
		"kind is long":     {Path: "x", Kind: strings.Repeat("k", protocol.MaxArtifactText+1)},
		"reason is long":   {Path: "x", EndReason: strings.Repeat("r", protocol.MaxArtifactText+1)},
		"path is no UTF-8": {Path: "x\xff"},
	} {
		if err := h.ReportArtifact(ctx, a); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.ReportArtifact(ctx, protocol.Artifact{Path: "y", Meta: json.RawMessage(`{"a":1}`)}); err != nil || len(outcomes) != 2 {
		t.Errorf("%v, %d outcomes", err, len(outcomes))
	}

	h.revoke()
	for name, err := range map[string]error{
		"cache set":    h.CacheSet(ctx, "k", nil, 0),
		"cache delete": h.CacheDelete(ctx, "k"),
		"checkpoint":   h.SaveCheckpoint(ctx, nil),
		"artifact":     h.ReportArtifact(ctx, protocol.Artifact{Path: "x"}),
	} {
		if !errors.Is(err, protocol.ErrFenced) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
}

func TestSecretsAreFilledIntoStringsOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(`a"b`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := secrets{dir}.fill(json.RawMessage(`{"url":"rtsp://u:${secret:pw}@h/","n":12345678901234567890,"l":["${secret:pw}"]}`))
	if err != nil || string(got) != `{"l":["a\"b"],"n":12345678901234567890,"url":"rtsp://u:a\"b@h/"}` {
		t.Errorf("%s %v", got, err)
	}
	if _, err := (secrets{dir}).fill(json.RawMessage(`{"url":"${secret:none}"}`)); !errors.Is(err, errNoSecret) || !strings.Contains(err.Error(), filepath.Join(dir, "none")) {
		t.Errorf("%v", err)
	}
}

func TestMemoryCacheForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemoryCache(time.Now)
		ctx := t.Context()
		_ = c.Set(ctx, "a", []byte("1"), time.Second)
		_ = c.Set(ctx, "b", []byte("2"), 0)
		time.Sleep(time.Second)
		if _, found, _ := c.Get(ctx, "a"); found {
			t.Error("a outlives its time")
		}
		if _, found, _ := c.Get(ctx, "b"); !found {
			t.Error("b has no end, and is gone")
		}
		time.Sleep(2 * time.Minute)
		_ = c.Set(ctx, "c", nil, time.Second)
		if len(c.items) != 2 {
			t.Errorf("%d items kept", len(c.items))
		}
	})
}
