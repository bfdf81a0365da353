package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// memoryBus is a controller's end and a host's end of a bus in memory, and a heartbeat store; it can be cut.
type memoryBus struct {
	mu       sync.Mutex
	cut      bool
	cutCh    chan struct{} // closed when cut
	seen     []skalds.HostMessage
	commands chan skalds.NodeMessage
	beats    map[string]skalds.Heartbeat
	short    map[string]skalds.ShortHeartbeat
	ends     map[string]skalds.State
	noAck    bool // outcomes are not acknowledged
	mute     bool // hellos are not answered
	hellos   int
}

var (
	errCut     = errors.New("the bus is cut")
	errTooLong = errors.New("the message is too long")
)

func newMemoryBus() *memoryBus {
	return &memoryBus{
		cutCh: make(chan struct{}), commands: make(chan skalds.NodeMessage, 10_000),
		beats: map[string]skalds.Heartbeat{}, short: map[string]skalds.ShortHeartbeat{}, ends: map[string]skalds.State{},
	}
}

func (b *memoryBus) setCut(cut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if cut && !b.cut {
		close(b.cutCh)
	}
	if !cut && b.cut {
		b.cutCh = make(chan struct{})
	}
	b.cut = cut
}

func (b *memoryBus) state() (bool, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cut, b.cutCh
}

func (b *memoryBus) Commands(ctx context.Context, nodeID string, ready func(int32), fn func(skalds.NodeMessage)) error {
	cut, ch := b.state()
	if cut {
		return errCut
	}
	ready(7)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ch:
			return errCut
		case m := <-b.commands:
			if m.NodeID == nodeID {
				fn(m)
			}
		}
	}
}

// Report answers like a controller: hellos, and outcomes with an acknowledgement.
func (b *memoryBus) Report(_ context.Context, msgs ...skalds.HostMessage) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return errCut
	}
	unsendable := &skalds.UnsendableError{}
	for i, m := range msgs {
		if raw, err := json.Marshal(&m); err != nil || len(raw) > skalds.MaxBusMessageBytes {
			unsendable.Messages = append(unsendable.Messages, skalds.Unsendable{Index: i, Err: cmp.Or(err, errTooLong)})
			continue
		}
		b.seen = append(b.seen, m)
		switch {
		case m.Hello != nil && m.Hello.Part == m.Hello.Parts:
			b.hellos++
			if !b.mute {
				b.commands <- skalds.NodeMessage{NodeID: m.NodeID, Answer: &skalds.HelloAnswer{Incarnation: m.Incarnation, Number: m.Hello.Number, Generation: 1, Part: 1, Parts: 1}}
			}
		case m.Outcome != nil && !b.noAck:
			b.commands <- skalds.NodeMessage{NodeID: m.NodeID, Acks: []skalds.OutcomeKey{m.Outcome.OutcomeKey}}
		}
	}
	if len(unsendable.Messages) > 0 {
		return unsendable
	}
	return nil
}

func (b *memoryBus) Heartbeat(_ context.Context, h skalds.ShortHeartbeat) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return errCut
	}
	b.short[h.NodeID] = h
	return nil
}

func (b *memoryBus) Ping(context.Context) error { return nil }
func (b *memoryBus) Close() error               { return nil }

func (b *memoryBus) Beat(_ context.Context, h skalds.Heartbeat, _ time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return errCut
	}
	b.beats[h.NodeID] = h
	return nil
}

func (b *memoryBus) PeekSeq(_ context.Context, nodeID string) (int64, int64, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h, ok := b.beats[nodeID]
	return h.Incarnation, h.Seq, ok, nil
}

func (b *memoryBus) TaskEnded(_ context.Context, taskID string, state skalds.State, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends[taskID] = state
	return nil
}

// send gives a command to the node n1.
func (b *memoryBus) send(c skalds.Command) {
	b.commands <- skalds.NodeMessage{NodeID: "n1", Command: &c}
}

// reports lists the reports of a task, in order.
func (b *memoryBus) reports(task string) (out []skalds.Report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.seen {
		if m.Report != nil && m.Report.TaskID == task {
			out = append(out, *m.Report)
		}
	}
	return out
}

// last is the last report of a task that names a state.
func (b *memoryBus) last(task string) (r skalds.Report) {
	for _, rep := range b.reports(task) {
		if rep.State != "" {
			r = rep
		}
	}
	return r
}

// outcomes lists what was sent of a task, without repetitions.
func (b *memoryBus) outcomes(task string, kind skalds.OutcomeKind) (out []skalds.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := map[skalds.OutcomeKey]bool{}
	for _, m := range b.seen {
		if o := m.Outcome; o != nil && o.TaskID == task && o.Kind == kind && !known[o.OutcomeKey] {
			known[o.OutcomeKey] = true
			out = append(out, *o)
		}
	}
	return out
}

func (b *memoryBus) heartbeat(node string) skalds.Heartbeat {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.beats[node]
}

// live finds the status of a task in the node's last heartbeat.
func (b *memoryBus) live(task string) (skalds.InstanceStatus, bool) {
	for _, s := range b.heartbeat("n1").Instances {
		if s.TaskID == task {
			return s, true
		}
	}
	return skalds.InstanceStatus{}, false
}

// greeted waits for a hello after the first n, whose answer comes before whatever is sent from here on.
func (b *memoryBus) greeted(t testing.TB, n int) {
	t.Helper()
	eventually(t, "hello", soon, func() bool { return b.helloCount() > n })
}

// helloCount is how many whole hellos were said.
func (b *memoryBus) helloCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hellos
}
