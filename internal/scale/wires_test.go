//go:build linux

package scale

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
)

var _ controllertest.Line = (*wires)(nil)

// wires are the connections of all nodes. Each node has a reader of its own, as a host has; what nodes send goes through a few clients
// that they share, which brokers cannot tell from many and this process can.
type wires struct {
	ctx   context.Context
	buses []*kafka.HostBus
	beats *redis.HeartbeatStore

	sent    atomic.Int64 // heartbeats that came through on both ways
	refused atomic.Int64 // and those that did not

	mu    sync.Mutex // guards the rest
	plugs map[string]plug
}

// plug is the end of a node's reader.
type plug struct {
	partition int32
	pull      context.CancelFunc
}

// senders is how many clients send.
const senders = 8

// Times of a host's own.
const (
	beatTimeout = 2 * time.Second // a host has 500 ms, and a machine of its own
	beatTTL     = 15 * time.Second
)

func newWires(t testing.TB, s services) *wires {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &wires{ctx: ctx, plugs: map[string]plug{}, beats: redis.NewHeartbeatStore(s.redis, testlog.New(t))}
	t.Cleanup(func() { _ = w.beats.Close() })
	for range senders {
		b, err := kafka.NewHostBus(s.kafka, testlog.New(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		w.buses = append(w.buses, b)
	}
	return w
}

// bus is always the same for a node, so that its messages keep their order.
func (w *wires) bus(node string) *kafka.HostBus {
	h := fnv.New32a()
	_, _ = h.Write([]byte(node))
	return w.buses[h.Sum32()%senders]
}

func (w *wires) Inbox(node string) <-chan skalds.NodeMessage {
	ctx, pull := context.WithCancel(w.ctx)
	in := make(chan skalds.NodeMessage, 1000)
	ready := make(chan int32, 1)
	go func() {
		_ = w.bus(node).Commands(ctx, node, func(p int32) {
			select {
			case ready <- p:
			default: // nobody takes the services of this cluster away
			}
		}, func(m skalds.NodeMessage) {
			select {
			case in <- m:
			case <-ctx.Done():
			}
		})
	}()
	p := plug{pull: pull}
	select {
	case p.partition = <-ready:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plugs[node] = p
	return in
}

func (w *wires) Partition(node string) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plugs[node].partition
}

func (w *wires) Unplug(node string) {
	w.mu.Lock()
	p := w.plugs[node]
	delete(w.plugs, node)
	w.mu.Unlock()
	if p.pull != nil {
		p.pull()
	}
}

func (w *wires) Report(msgs ...skalds.HostMessage) error {
	if len(msgs) == 0 {
		return nil
	}
	return w.bus(msgs[0].NodeID).Report(w.ctx, msgs...)
}

// Beat sends both heartbeats side by side.
func (w *wires) Beat(h skalds.Heartbeat) bool {
	ctx, cancel := context.WithTimeout(w.ctx, beatTimeout)
	defer cancel()
	short := make(chan error, 1)
	go func() {
		short <- w.bus(h.NodeID).Heartbeat(ctx, skalds.ShortHeartbeat{NodeID: h.NodeID, Incarnation: h.Incarnation, Seq: h.Seq})
	}()
	full, brief := w.beats.Beat(ctx, h, beatTTL), <-short
	if errors.Join(full, brief) == nil {
		w.sent.Add(1)
	} else {
		w.refused.Add(1)
	}
	return full == nil || brief == nil
}
