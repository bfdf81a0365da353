package controllertest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// Bus is both ends of a bus in memory. Fate, where set, decides what becomes of every message on
// its way, so that losses, repetitions and delays can be played.
type Bus struct {
	mu        sync.Mutex // guards all below
	changedCh chan struct{}
	reports   []skalds.HostMessage
	changes   []skalds.Change
	requests  []request
	inboxes   map[string]chan skalds.NodeMessage
	short     []func(skalds.ShortHeartbeat)
	beats     map[string]skalds.Heartbeat
	down      error
	fate      func(node string) Fate
}

type request struct {
	topic string
	event skalds.TaskEvent
}

// Fate is what becomes of a message to a node.
type Fate int

// The fates.
const (
	Arrives Fate = iota
	Lost
	Twice
)

var (
	_ controller.Bus            = (*Bus)(nil)
	_ controller.HeartbeatStore = (*Beats)(nil)
)

// NewBus makes an empty one.
func NewBus() *Bus {
	return &Bus{inboxes: map[string]chan skalds.NodeMessage{}, beats: map[string]skalds.Heartbeat{}, changedCh: make(chan struct{})}
}

// SetDown makes every operation fail; nil: works again.
func (b *Bus) SetDown(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = err
	b.changedLocked()
}

// SetFate plays with messages to nodes.
func (b *Bus) SetFate(fn func(node string) Fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fate = fn
}

func (b *Bus) changedLocked() {
	close(b.changedCh)
	b.changedCh = make(chan struct{})
}

func (b *Bus) Send(ctx context.Context, _ int32, msgs ...skalds.NodeMessage) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return b.down
	}
	for _, m := range msgs {
		in := b.inboxes[m.NodeID]
		if in == nil {
			continue
		}
		n := 1
		if b.fate != nil {
			switch b.fate(m.NodeID) {
			case Lost:
				n = 0
			case Twice:
				n = 2
			}
		}
		for range n {
			select {
			case in <- m:
			default: // as good as lost
			}
		}
	}
	return ctx.Err()
}

// follow calls fn with the lock held whenever something has changed, until it returns an error or ctx ends.
func (b *Bus) follow(ctx context.Context, fn func() (work func())) error {
	for {
		b.mu.Lock()
		if b.down != nil {
			defer b.mu.Unlock()
			return b.down
		}
		work, ch := fn(), b.changedCh
		b.mu.Unlock()
		if work != nil {
			work()
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ch:
		}
	}
}

func (b *Bus) Reports(ctx context.Context, from string, caughtUp func(), fn func(ctx context.Context, m skalds.HostMessage, next string)) error {
	at, _ := strconv.Atoi(from)
	b.mu.Lock()
	end := len(b.reports)
	b.mu.Unlock()
	return b.follow(ctx, func() func() {
		if at >= end && caughtUp != nil {
			call := caughtUp
			caughtUp = nil
			return call
		}
		if at >= len(b.reports) || ctx.Err() != nil {
			return nil
		}
		m := b.reports[at]
		at++
		return func() { fn(ctx, m, strconv.Itoa(at)) }
	})
}

func (b *Bus) Heartbeats(ctx context.Context, alive func(), fn func(skalds.ShortHeartbeat)) error {
	b.mu.Lock()
	b.short = append(b.short, fn)
	i := len(b.short) - 1
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.short[i] = nil
		b.mu.Unlock()
	}()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		b.mu.Lock()
		down := b.down
		b.mu.Unlock()
		if down != nil {
			return down
		}
		alive()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (b *Bus) PublishChange(ctx context.Context, c skalds.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return b.down
	}
	b.changes = append(b.changes, c)
	b.changedLocked()
	return ctx.Err()
}

func (b *Bus) Changes(ctx context.Context, after string, reset func(), fn func(id string, c skalds.Change)) error {
	b.mu.Lock()
	at := len(b.changes)
	if after != "" {
		n, err := strconv.Atoi(after)
		if err != nil || n > at {
			defer reset()
		} else {
			at = n
		}
	}
	b.mu.Unlock()
	return b.follow(ctx, func() func() {
		if at >= len(b.changes) || ctx.Err() != nil {
			return nil
		}
		c := b.changes[at]
		at++
		return func() { fn(strconv.Itoa(at), c) }
	})
}

func (b *Bus) Requests(ctx context.Context, fn func(topic string, e skalds.TaskEvent)) error {
	b.mu.Lock()
	at := len(b.requests)
	b.mu.Unlock()
	return b.follow(ctx, func() func() {
		if at >= len(b.requests) || ctx.Err() != nil {
			return nil
		}
		r := b.requests[at]
		at++
		return func() { fn(r.topic, r.event) }
	})
}

// Request puts an event on one of the original's topics.
func (b *Bus) Request(topic string, e skalds.TaskEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, request{topic, e})
	b.changedLocked()
}

// Report is the host's end: messages arrive in order.
func (b *Bus) Report(msgs ...skalds.HostMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reports = append(b.reports, msgs...)
	b.changedLocked()
}

// Inbox opens the inbox of a node; what was sent to it before is lost.
func (b *Bus) Inbox(node string) <-chan skalds.NodeMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := make(chan skalds.NodeMessage, 10_000)
	b.inboxes[node] = in
	return in
}

// Unplug takes a node's inbox away.
func (b *Bus) Unplug(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.inboxes, node)
}

// Beat is the host's end of both channels of heartbeats.
func (b *Bus) Beat(h skalds.Heartbeat) {
	b.mu.Lock()
	h.Instances = slices.Clone(h.Instances)
	b.beats[h.NodeID] = h
	readers := slices.Clone(b.short)
	b.mu.Unlock()
	for _, fn := range readers {
		if fn != nil {
			fn(skalds.ShortHeartbeat{NodeID: h.NodeID, Incarnation: h.Incarnation, Seq: h.Seq})
		}
	}
}

// Beats is the heartbeat store of the bus's hosts.
func (b *Bus) Beats() *Beats { return &Beats{b} }

// Beats is a controller.HeartbeatStore in memory.
type Beats struct{ bus *Bus }

func (s *Beats) Heartbeats(ctx context.Context) ([]skalds.Heartbeat, error) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if s.bus.down != nil {
		return nil, s.bus.down
	}
	out := make([]skalds.Heartbeat, 0, len(s.bus.beats))
	for _, h := range s.bus.beats {
		out = append(out, h)
	}
	return out, ctx.Err()
}

func (s *Beats) Forget(_ context.Context, nodeID string) error {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.beats, nodeID)
	return nil
}

func (s *Beats) Ping(ctx context.Context) error { return s.bus.Ping(ctx) }

func (b *Bus) Ping(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

func (b *Bus) Close() error { return nil }
