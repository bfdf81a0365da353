package controller_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// heldBeats does not come back from a reading, whatever its deadline, while it is held.
type heldBeats struct {
	controller.HeartbeatStore
	hold chan struct{}
}

func (b *heldBeats) Heartbeats(ctx context.Context) ([]skalds.Heartbeat, error) {
	<-b.hold
	return b.HeartbeatStore.Heartbeats(ctx)
}

// heldStore holds the dispatcher at its queue.
type heldStore struct {
	controller.Store
	hold chan struct{}
}

func (s *heldStore) Queue(ctx context.Context, limit int) ([]*skalds.Task, error) {
	<-s.hold
	return s.Store.Queue(ctx, limit)
}

func TestLoopsThatStandStillAreNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		beats, queue bool // is held
		after        time.Duration
		want         string
	}{
		"nothing":           {after: 10 * time.Minute},
		"not for long":      {beats: true, after: 20 * time.Second},
		"heartbeats":        {beats: true, after: 40 * time.Second, want: "reading heartbeats has stood still for 40s"},
		"queue":             {queue: true, after: 3 * time.Minute, want: "the dispatcher has stood still for 3m"},
		"queue not so long": {queue: true, after: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := controllertest.NewBus()
				free := make(chan struct{})
				close(free)
				beats, store := &heldBeats{bus.Beats(), free}, &heldStore{controllertest.NewStore(), free}
				held := make(chan struct{})
				if tt.beats {
					beats.hold = held
				}
				if tt.queue {
					store.hold = held
				}
				cfg := controller.DefaultConfig()
				cfg.Alone = true
				c, err := controller.New(cfg, store, bus, beats, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if s := c.Stuck(); s != "" {
					t.Errorf("before Run: %s", s)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- c.Run(ctx) }()
				time.Sleep(tt.after)
				if got := c.Stuck(); !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
					t.Errorf("stuck: %q, want %q", got, tt.want)
				}
				close(held)
				time.Sleep(time.Second)
				if got := c.Stuck(); got != "" {
					t.Errorf("after it has gone on: %q", got)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if got := c.Stuck(); got != "" {
					t.Errorf("after Run: %q", got)
				}
			})
		})
	}
}
