package host

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// askedBeats counts what a host asks of the heartbeat store; each is one round trip there.
type askedBeats struct {
	*memoryBus
	beat, other atomic.Int64
}

func (a *askedBeats) Beat(ctx context.Context, h skalds.Heartbeat, ttl time.Duration) error {
	a.beat.Add(1)
	return a.memoryBus.Beat(ctx, h, ttl)
}

func (a *askedBeats) PeekSeq(ctx context.Context, nodeID string) (int64, int64, bool, error) {
	a.other.Add(1)
	return a.memoryBus.PeekSeq(ctx, nodeID)
}

func (a *askedBeats) TaskEnded(ctx context.Context, taskID string, state skalds.State, exception string) error {
	a.other.Add(1)
	return a.memoryBus.TaskEnded(ctx, taskID, state, exception)
}

// TestDutyOfAHost: however many tasks run, a host writes to the heartbeat store once a period, and nothing else while nothing ends.
func TestDutyOfAHost(t *testing.T) {
	const tasks, watched = 5, 5 * time.Second
	m, b := newMachine(t), newMemoryBus()
	asked := &askedBeats{memoryBus: b}
	d := m.deps(t)
	d.Bus, d.Beats = b, asked
	cfg := m.config()
	cfg.Edge = false
	started := time.Now()
	startHost(t, cfg, d)
	b.greeted(t, 0)
	for i := range tasks {
		b.send(command(scriptSpec(fmt.Sprintf("t%d", i), "Script", script{Do: "wait"}), 1, 1))
	}
	for i := range tasks {
		eventually(t, "the tasks run", soon, func() bool { return b.last(fmt.Sprintf("t%d", i)).State == skalds.Running })
	}
	<-time.After(time.Until(started.Add(duplicateWatch + 2*cfg.Heartbeat))) // until then it looks for another host of its id
	beat, other, began := asked.beat.Load(), asked.other.Load(), time.Now()
	<-time.After(watched)
	beat, other = asked.beat.Load()-beat, asked.other.Load()-other
	periods := float64(time.Since(began)) / float64(cfg.Heartbeat)
	t.Logf("%d heartbeats in %.1f periods, %d other questions", beat, periods, other)
	if float64(beat) > periods+2 || beat == 0 || other != 0 {
		t.Errorf("in %.1f periods the host wrote %d heartbeats and asked %d times more", periods, beat, other)
	}
}
