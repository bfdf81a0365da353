package host

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// heldBeats does not come back from a heartbeat, whatever its deadline, until it is let go.
type heldBeats struct {
	*memoryBus
	hold chan struct{}
}

func (b *heldBeats) Beat(ctx context.Context, h skalds.Heartbeat, ttl time.Duration) error {
	<-b.hold
	return b.memoryBus.Beat(ctx, h, ttl)
}

func TestStanding(t *testing.T) {
	m, b := newMachine(t), newMemoryBus()
	b.mute = true
	held := &heldBeats{b, make(chan struct{})}
	d := m.deps(t)
	d.Bus, d.Beats = b, held
	cfg := m.config()
	cfg.Edge = false
	h, err := New(cfg, d, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	if s := h.Standing(); s.Up || s.Text != "starting" || s.Stuck != "" {
		t.Errorf("before Run: %+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("host: %v", err)
		}
		if s := h.Standing(); s.Stuck != "" {
			t.Errorf("after Run: %+v", s)
		}
	})
	eventually(t, "it has said hello", soon, func() bool { return h.Standing().Up })
	if s := h.Standing(); !strings.Contains(s.Text, "waits for a controller") || s.Stuck != "" {
		t.Errorf("%+v", s)
	}
	// The first heartbeat is held. That it has been for long is played.
	p := &h.session.Load().beats.pulse
	eventually(t, "the heartbeat has begun", soon, func() bool { return p.at.Load() != nil })
	long := time.Now().Add(-2 * stuckAfter)
	p.at.Store(&long)
	if s := h.Standing(); !strings.Contains(s.Stuck, "the heartbeat has stood still for") {
		t.Errorf("%+v", s)
	}
	close(held.hold)
	eventually(t, "the heartbeat goes on", soon, func() bool { return h.Standing().Stuck == "" })
}
