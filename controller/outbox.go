package controller

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the outbox.
const (
	sendTimeout = 5 * time.Second
	sendBatch   = 512
)

// outbox sends messages to nodes without making anybody wait. What cannot be sent is dropped with a word: commands are
// sent again until they are answered, everything else is asked for again.
type outbox struct {
	term    func() int64 // in which this controller leads; 0: another does
	bus     Bus
	cluster *cluster
	log     hclog.Logger
	wake    chan struct{}

	mu      sync.Mutex // guards all below
	pending map[int32][]skalds.NodeMessage
	sending map[int32]bool // partitions that have a sender
	failing map[int32]bool
}

func newOutbox(term func() int64, bus Bus, c *cluster, log hclog.Logger) *outbox {
	return &outbox{
		term: term, bus: bus, cluster: c, log: log, wake: make(chan struct{}, 1),
		pending: map[int32][]skalds.NodeMessage{}, sending: map[int32]bool{}, failing: map[int32]bool{},
	}
}

// send queues messages for a node. It reports false where nobody knows how to reach it, and drops the decisions of who leads no
// more.
func (o *outbox) send(nodeID string, msgs ...skalds.NodeMessage) bool {
	partition, ok := o.cluster.partition(nodeID)
	if !ok {
		return false
	}
	term := o.term()
	for i := range msgs {
		msgs[i].NodeID = nodeID
		if msgs[i].Stream != nil { // any controller may ask for one
			continue
		}
		if term == 0 {
			return false
		}
		msgs[i].Term = term
	}
	o.mu.Lock()
	o.pending[partition] = append(o.pending[partition], msgs...)
	o.mu.Unlock()
	poke(o.wake)
	return true
}

// Run sends until ctx ends: each partition by a sender of its own, so that one whose broker does not answer holds up no other.
func (o *outbox) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	defer senders.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		}
		for _, partition := range o.idle() {
			senders.Go(func() {
				for msgs := o.next(partition); len(msgs) > 0; msgs = o.next(partition) {
					o.deliver(ctx, partition, msgs)
				}
			})
		}
	}
}

// idle names the partitions that have messages and no sender; each has one from now on.
func (o *outbox) idle() (list []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for partition := range o.pending {
		if !o.sending[partition] {
			o.sending[partition] = true
			list = append(list, partition)
		}
	}
	return list
}

// next takes all that waits for a partition. Where nothing does, its sender ends.
func (o *outbox) next(partition int32) []skalds.NodeMessage {
	o.mu.Lock()
	defer o.mu.Unlock()
	msgs := o.pending[partition]
	delete(o.pending, partition)
	if len(msgs) == 0 {
		delete(o.sending, partition)
	}
	return msgs
}

// deliver sends messages in order.
func (o *outbox) deliver(ctx context.Context, partition int32, msgs []skalds.NodeMessage) {
	for {
		msgs = slices.DeleteFunc(msgs, func(m skalds.NodeMessage) bool { return m.Term != 0 && m.Term != o.term() }) // of a lease that is over
		if len(msgs) == 0 {
			return
		}
		n := min(len(msgs), sendBatch)
		c, cancel := context.WithTimeout(ctx, sendTimeout)
		err := o.bus.Send(c, partition, msgs[:n]...)
		cancel()
		var unsendable *skalds.UnsendableError
		if errors.As(err, &unsendable) { // the others have gone out
			o.leaveOut(msgs[:n], unsendable)
			err = nil
		}
		o.note(ctx, partition, err, len(msgs))
		if err != nil {
			return
		}
		msgs = msgs[n:]
	}
}

// leaveOut names the messages of a batch that can never be sent.
func (o *outbox) leaveOut(batch []skalds.NodeMessage, e *skalds.UnsendableError) {
	for _, m := range e.Messages {
		msg := &batch[m.Index]
		o.log.Error("a message to a node cannot be sent and is dropped", "node_id", msg.NodeID, "task_id", subject(msg), "err", m.Err)
	}
}

// subject is the task that a message is about; empty: none, or several.
func subject(m *skalds.NodeMessage) string {
	switch {
	case m.Command != nil:
		return m.Command.TaskID
	case m.Edge != nil:
		return m.Edge.TaskID
	case m.Answer != nil && len(m.Answer.Commands) == 1:
		return m.Answer.Commands[0].TaskID
	}
	return ""
}

// note says once that nodes cannot be reached, and once that all can be again.
func (o *outbox) note(ctx context.Context, partition int32, err error, lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := len(o.failing)
	switch {
	case err == nil:
		if delete(o.failing, partition); was > 0 && len(o.failing) == 0 {
			o.log.Info("nodes can be reached through the bus again")
		}
	case ctx.Err() == nil:
		if o.failing[partition] = true; was == 0 {
			o.log.Warn("cannot send to nodes: commands are sent again until they are answered", "partition", partition, "messages", lost, "err", err)
		}
	}
}

// rest waits a moment or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
