package plugins

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/procstats"
)

func TestASweepDoesNotWaitForWhatCannotDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		l := &Launcher{log: hclog.New(&hclog.LoggerOptions{Output: &said})}
		immortal := func() ([]procstats.ID, error) {
			return []procstats.ID{{PID: 1 << 30, Start: 7}, {PID: 1<<30 + 1, Start: 7}}, nil // no signal reaches them
		}
		began := time.Now()
		if n, err := l.killAll(t.Context(), immortal); n != 2 || err != nil {
			t.Errorf("killed %d, %v", n, err)
		}
		if took := time.Since(began); took < sweepWithin || took > sweepWithin+time.Second {
			t.Errorf("took %s", took)
		}
		if got := said.String(); strings.Count(got, "do not die") != 1 || !strings.Contains(got, "1073741824") {
			t.Errorf("said %q", got)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(skalds.ErrStopping)
		if _, err := l.killAll(ctx, immortal); !errors.Is(err, skalds.ErrStopping) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// A host can die between any two steps of making or removing a private folder.
func TestHalfMadeFoldersAreSwept(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	for _, dir := range []string{"9-950f", "a1-00ff/plugin123", "somebody-else"} {
		if err := os.MkdirAll(filepath.Join(l.base, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(l.base)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) != 2 || !slices.Contains(names, filepath.Base(a.dir)) || !slices.Contains(names, "somebody-else") {
		t.Errorf("left: %q", names)
	}
	if err := os.Remove(filepath.Join(l.base, "somebody-else")); err != nil {
		t.Error(err)
	}
}
