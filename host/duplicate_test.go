package host

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
)

// liveTwin is a heartbeat store in which another host under the id is alive.
type liveTwin struct {
	HeartbeatStore
	began  time.Time
	silent time.Duration // for how long the store does not answer
	peeks  atomic.Int64
	beats  atomic.Int64
}

func (l *liveTwin) PeekSeq(context.Context, string) (incarnation, seq int64, found bool, err error) {
	l.peeks.Add(1)
	if time.Since(l.began) < l.silent {
		return 0, 0, false, errors.New("away")
	}
	return 4, 100 + int64(time.Since(l.began)/time.Second), true, nil
}

func (l *liveTwin) Beat(context.Context, skalds.Heartbeat, time.Duration) error {
	l.beats.Add(1)
	return errors.New("away")
}

func TestAnotherLiveHostIsSeenBeforeTheStart(t *testing.T) {
	for name, tt := range map[string]struct {
		silent time.Duration
		former int64
		seen   bool
	}{
		"at once":                              {0, 3, true},
		"by a store that comes back":           {900 * time.Millisecond, 3, true},
		"not where the store is away":          {time.Minute, 3, false},
		"not where it is this host's own past": {0, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &liveTwin{began: time.Now(), silent: tt.silent}
				err := watchBeforeStart(t.Context(), l, "n1", 9, tt.former, time.Second)
				if (skalds.CodeOf(err) == skalds.CodeConflict) != tt.seen || !tt.seen && err != nil {
					t.Errorf("got %v", err)
				}
				if took := time.Since(l.began); took > 2500*time.Millisecond {
					t.Errorf("looked for %s", took)
				}
			})
		})
	}
}

// TestAHostThatWasNeverTakenOnSaysNothing: what it says would be taken for the word of the host that has its id.
func TestAHostThatWasNeverTakenOnSaysNothing(t *testing.T) {
	start := func(t *testing.T, twin *liveTwin) (*memoryBus, *runningHost) {
		m, b := newMachine(t), newMemoryBus()
		b.mute = true
		d := m.deps(t)
		d.Bus = b
		if twin != nil {
			d.Beats = twin
		}
		cfg := m.config()
		cfg.Edge = false
		return b, startHost(t, cfg, d)
	}
	said := func(b *memoryBus) (hellos, byes int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, m := range b.seen {
			if m.Bye {
				byes++
			}
		}
		return b.hellos, byes
	}
	t.Run("stopped while it looks", func(t *testing.T) {
		twin := &liveTwin{began: time.Now()}
		b, h := start(t, twin)
		eventually(t, "it looks", soon, func() bool { return twin.peeks.Load() > 0 })
		if err := h.stop(); err != nil && skalds.CodeOf(err) != skalds.CodeConflict {
			t.Error(err)
		}
		h.err = nil
		if hellos, byes := said(b); hellos+byes > 0 || twin.beats.Load() > 0 || len(b.short) > 0 {
			t.Errorf("said %d hellos, %d farewells, %d heartbeats", hellos, byes, twin.beats.Load())
		}
	})
	t.Run("never answered", func(t *testing.T) {
		b, h := start(t, nil)
		b.greeted(t, 0)
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		if hellos, byes := said(b); hellos == 0 || byes > 0 {
			t.Errorf("said %d hellos, %d farewells", hellos, byes)
		}
	})
	t.Run("refused", func(t *testing.T) {
		b, h := start(t, nil)
		b.greeted(t, 0)
		b.answer(b.hello().Hello.Number)
		b.settled(t, "first")
		b.commands <- skalds.NodeMessage{NodeID: "n1", Answer: &skalds.HelloAnswer{Incarnation: b.hello().Incarnation, Part: 1, Parts: 1, Refused: "another has the id"}}
		if err := <-h.done; err == nil || !strings.Contains(err.Error(), "another has the id") {
			t.Errorf("ended with %v", err)
		}
		if _, byes := said(b); byes > 0 {
			t.Error("said a farewell")
		}
	})
}
