package kafka

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

var _ controller.Bus = (*ControllerBus)(nil)

// ControllerBus is a controller's end of the bus.
type ControllerBus struct{ *conn }

// NewControllerBus sets up a controller's end; it connects when it is first used. A nil log is silent. What it sends is not
// compressed: a node of the Python original stops reading for ever at the first message whose compression it does not have.
func NewControllerBus(cfg Config, log hclog.Logger) (*ControllerBus, error) {
	cfg.uncompressed = true
	c, err := newConn(cfg, log)
	if err != nil {
		return nil, err
	}
	return &ControllerBus{c}, nil
}

// Send delivers messages to the nodes that read the partition, in order.
func (b *ControllerBus) Send(ctx context.Context, partition int32, msgs ...skalds.NodeMessage) error {
	out := make([]message, len(msgs))
	for i := range msgs {
		out[i] = message{skalds.TopicCommand, partition, msgs[i].NodeID, &msgs[i]}
	}
	return b.send(ctx, out...)
}

// PublishChange announces applied changes, in order.
func (b *ControllerBus) PublishChange(ctx context.Context, changes ...skalds.Change) error {
	out := make([]message, len(changes))
	for i := range changes {
		c := &changes[i]
		out[i] = message{skalds.TopicChanged, 0, cmp.Or(c.TaskID, c.NodeID), c}
	}
	return b.send(ctx, out...)
}

// PublishEvent puts an event about a task on one of the original's topics, by the task's id as the original does. The initiator
// is a controller, and what times are missing are now.
func (b *ControllerBus) PublishEvent(ctx context.Context, topic, taskID string, e skalds.TaskEvent) error {
	if !isOriginal(topic) {
		return skalds.Errorf(skalds.CodeInvalid, "the topic %q is none of the original's", topic)
	}
	now := time.Now().UnixMilli()
	e.Initiator = skalds.Initiator
	e.CreateDateTime, e.UpdateDateTime = cmp.Or(e.CreateDateTime, now), cmp.Or(e.UpdateDateTime, now)
	return b.send(ctx, message{topic, byKey, taskID, &e})
}

// Reports calls fn for every message of hosts from the offset on, or from the beginning where the bus does not know it.
func (b *ControllerBus) Reports(ctx context.Context, from string, caughtUp func(), fn func(context.Context, skalds.HostMessage, string)) error {
	var next position
	end, first := int64(0), true
	reached := func() {
		if caughtUp != nil && next.offset >= end {
			caughtUp()
			caughtUp = nil
		}
	}
	return b.follow(ctx, reading{
		topics: []string{skalds.TopicReport},
		begin: func(held map[string]holding) map[string]map[int32]int64 {
			h := held[skalds.TopicReport]
			s := h.spans[0]
			start := position{h.id, s.start}
			if first {
				next, _ = parsePosition(from)
			}
			if next.topic == h.id && next.offset >= s.start && next.offset <= s.end {
				start = next
			} else if next.topic != "" {
				b.log.Warn("the bus does not hold the reports after the last one applied: all that it holds are read again", "offset", next)
			}
			if first || start != next {
				end = s.end
			}
			next, first = start, false
			reached()
			return map[string]map[int32]int64{skalds.TopicReport: {0: start.offset}}
		},
		record: func(r *kgo.Record) {
			next.offset = r.Offset + 1
			if m := decode(b.conn, r, func(m *skalds.HostMessage) error { return namesNode(m.NodeID) }); m != nil {
				fn(ctx, *m, next.String())
			}
			reached()
		},
	})
}

// probeInterval is how often Heartbeats asks the bus where its end is; alive has to come at least every second.
const probeInterval = 300 * time.Millisecond

// Heartbeats calls fn for every short heartbeat from now on, and alive as long as the bus answers and is read to its end.
func (b *ControllerBus) Heartbeats(ctx context.Context, alive func(), fn func(skalds.ShortHeartbeat)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var seen atomic.Pointer[position] // the end, as the bus has last told
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.probe(ctx, &seen)
	}()
	defer func() { cancel(); <-done }()
	var next position
	return b.follow(ctx, reading{
		topics:   []string{skalds.TopicHeartbeat},
		interval: probeInterval,
		begin: func(held map[string]holding) map[string]map[int32]int64 {
			h := held[skalds.TopicHeartbeat]
			next = position{h.id, h.spans[0].end}
			return map[string]map[int32]int64{skalds.TopicHeartbeat: {0: next.offset}}
		},
		record: func(r *kgo.Record) {
			next.offset = r.Offset + 1
			if h := decode(b.conn, r, func(h *skalds.ShortHeartbeat) error { return namesNode(h.NodeID) }); h != nil {
				fn(*h)
			}
		},
		round: func() {
			end := seen.Load()
			if end == nil || end.topic != next.topic || next.offset < end.offset {
				return
			}
			if alive != nil && seen.CompareAndSwap(end, nil) {
				alive()
			}
		},
	})
}

// probe keeps asking for the end of the heartbeats.
func (b *ControllerBus) probe(ctx context.Context, seen *atomic.Pointer[position]) {
	t := time.NewTicker(probeInterval)
	defer t.Stop()
	for {
		c, cancel := context.WithTimeout(ctx, 2*time.Second)
		held, err := b.holdings(c, []string{skalds.TopicHeartbeat})
		cancel()
		if err == nil {
			h := held[skalds.TopicHeartbeat]
			seen.Store(&position{h.id, h.spans[0].end})
		}
		select {
		case <-ctx.Done():
			return
		case <-b.closed:
			return
		case <-t.C:
		}
	}
}

// Changes calls fn for every change after the one named; reset where it is unknown.
func (b *ControllerBus) Changes(ctx context.Context, after string, reset func(), fn func(string, skalds.Change)) error {
	last, known := parsePosition(after)
	fresh := after == "" // nothing was seen, so nothing can be missed
	return b.follow(ctx, reading{
		topics: []string{skalds.TopicChanged},
		begin: func(held map[string]holding) map[string]map[int32]int64 {
			h := held[skalds.TopicChanged]
			s := h.spans[0]
			start := s.end
			switch {
			case known && last.topic == h.id && last.offset+1 >= s.start && last.offset < s.end:
				start = last.offset + 1
			case !fresh && reset != nil:
				reset()
			}
			last, known, fresh = position{h.id, start - 1}, true, false
			return map[string]map[int32]int64{skalds.TopicChanged: {0: start}}
		},
		record: func(r *kgo.Record) {
			last.offset = r.Offset
			if c := decode[skalds.Change](b.conn, r, nil); c != nil {
				fn(last.String(), *c)
			}
		},
	})
}

// Requests calls fn for every event of the original's topics after the place, but for those that controllers wrote. Of a topic that was
// made anew, and of a partition that has come, all is read; where what comes next is not held any more, from what is held.
func (b *ControllerBus) Requests(ctx context.Context, from string, begun func(string), fn func(string, skalds.TaskEvent, string)) error {
	next, known := parsePlaces(from)
	if from != "" && !known {
		b.log.Warn("how far requests were read cannot be understood: those from now on are read", "place", from)
	}
	return b.follow(ctx, reading{
		topics: originalTopics(),
		begin: func(held map[string]holding) map[string]map[int32]int64 {
			next = next.within(held, known)
			known = true
			if begun != nil {
				begun(next.String())
			}
			return next.offsets()
		},
		record: func(r *kgo.Record) {
			next.read(r.Topic, r.Partition, r.Offset)
			if e := decode(b.conn, r, namesTasks); e != nil && e.Initiator != skalds.Initiator {
				fn(r.Topic, *e, next.String())
			}
		},
	})
}

func namesTasks(e *skalds.TaskEvent) error {
	if len(e.TaskIDs) == 0 {
		return errNoTask
	}
	return nil
}
