package plugins

import (
	"context"
	"errors"
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
