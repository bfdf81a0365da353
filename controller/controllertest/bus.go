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

// Bus is both ends of a bus in memory, with a heartbeat store beside it (Beats). Fate, where set, decides what becomes of
// every message to a node, so that losses and repetitions can be played.
type Bus struct {
	mu        sync.Mutex // guards all below
	changedCh chan struct{}
	reports   []skalds.HostMessage
	changes   []skalds.Change
	requests  []request
	events    []Event
	inboxes   map[string]chan skalds.NodeMessage
	short     []func(skalds.ShortHeartbeat)
	beats     map[string]skalds.Heartbeat
	down      error
	beatsDown error
	fate      func(node string) Fate
	loses     func(skalds.HostMessage) bool
	toNode    func(skalds.NodeMessage)
	fromNode  func(skalds.HostMessage)
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
	_ Line                      = (*Bus)(nil)
)

// NewBus makes an empty one.
func NewBus() *Bus {
	return &Bus{inboxes: map[string]chan skalds.NodeMessage{}, beats: map[string]skalds.Heartbeat{}, changedCh: make(chan struct{})}
}

// SetDown makes every operation of the bus fail, at both ends; nil: works again. The heartbeat store goes on.
func (b *Bus) SetDown(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = err
	b.changedLocked()
}

// SetBeatsDown does the same to the heartbeat store.
func (b *Bus) SetBeatsDown(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beatsDown = err
}

// SetLoses has lost asked of every message of a node: one that is lost is taken, and never comes out.
func (b *Bus) SetLoses(lost func(skalds.HostMessage) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loses = lost
}

// SetWatch has functions called for every message that is delivered to a node and every one that a node has sent, under
// the bus's lock.
func (b *Bus) SetWatch(toNode func(skalds.NodeMessage), fromNode func(skalds.HostMessage)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.toNode, b.fromNode = toNode, fromNode
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
				if b.toNode != nil {
					b.toNode(m)
				}
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

func (b *Bus) PublishChange(ctx context.Context, changes ...skalds.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return b.down
	}
	b.changes = append(b.changes, changes...)
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

// PublishEvent does not give the event to Requests, as it is a controller's own.
func (b *Bus) PublishEvent(ctx context.Context, topic, _ string, e skalds.TaskEvent) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return b.down
	}
	b.events = append(b.events, Event{topic, e})
	return ctx.Err()
}

// Event is one that a controller has published on one of the original's topics.
type Event struct {
	Topic string
	skalds.TaskEvent
}

// Events lists what controllers have published on the original's topics.
func (b *Bus) Events() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events)
}

// Requests has as a place how many there were before.
func (b *Bus) Requests(ctx context.Context, from string, begun func(string), fn func(string, skalds.TaskEvent, string)) error {
	b.mu.Lock()
	at, err := strconv.Atoi(from)
	if err != nil {
		at = len(b.requests)
	}
	b.mu.Unlock()
	if begun != nil {
		begun(strconv.Itoa(at))
	}
	return b.follow(ctx, func() func() {
		if at >= len(b.requests) || ctx.Err() != nil {
			return nil
		}
		r := b.requests[at]
		at++
		next := strconv.Itoa(at)
		return func() { fn(r.topic, r.event, next) }
	})
}

// Request puts an event on one of the original's topics.
func (b *Bus) Request(topic string, e skalds.TaskEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, request{topic, e})
	b.changedLocked()
}

// Report is the host's end: messages arrive in order, all or none.
func (b *Bus) Report(msgs ...skalds.HostMessage) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return b.down
	}
	b.addLocked(msgs...)
	return nil
}

func (b *Bus) addLocked(msgs ...skalds.HostMessage) {
	for _, m := range msgs {
		if b.loses != nil && b.loses(m) {
			continue
		}
		if b.fromNode != nil {
			b.fromNode(m)
		}
		b.reports = append(b.reports, m)
	}
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

// Partition is the same for all nodes.
func (b *Bus) Partition(string) int32 { return 3 }

// Unplug takes a node's inbox away.
func (b *Bus) Unplug(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.inboxes, node)
}

// Beat is the host's end of both channels of heartbeats. It reports whether either took it.
func (b *Bus) Beat(h skalds.Heartbeat) bool {
	b.mu.Lock()
	if b.beatsDown == nil {
		h.Instances = slices.Clone(h.Instances)
		b.beats[h.NodeID] = h
	}
	var readers []func(skalds.ShortHeartbeat)
	if b.down == nil {
		readers = slices.Clone(b.short)
	}
	through := b.beatsDown == nil || b.down == nil
	b.mu.Unlock()
	for _, fn := range readers {
		if fn != nil {
			fn(skalds.ShortHeartbeat{NodeID: h.NodeID, Incarnation: h.Incarnation, Seq: h.Seq})
		}
	}
	return through
}

// Beats is the heartbeat store of the bus's hosts.
func (b *Bus) Beats() *Beats { return &Beats{b} }

// Beats is a controller.HeartbeatStore in memory.
type Beats struct{ bus *Bus }

func (s *Beats) Heartbeats(ctx context.Context) ([]skalds.Heartbeat, error) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if s.bus.beatsDown != nil {
		return nil, s.bus.beatsDown
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

func (s *Beats) Ping(context.Context) error {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.bus.beatsDown
}

func (b *Bus) Ping(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

func (b *Bus) Close() error { return nil }

// RepeatReport puts an old message of a host on the bus again.
func (b *Bus) RepeatReport(dice func(int) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.reports) == 0 {
		return
	}
	m := b.reports[dice(len(b.reports))]
	if m.Hello != nil || m.Bye { // a producer repeats what is newest only; these are judged by incarnation alone
		return
	}
	b.addLocked(m)
}
