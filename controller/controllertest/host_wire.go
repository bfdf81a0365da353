package controllertest

import (
	"cmp"
	"time"

	"github.com/skalds-go/skalds"
)

// Line is what connects a host with controllers. Its methods are safe for concurrent use.
type Line interface {
	// Inbox begins to take what is sent to the node; what was sent before is lost.
	Inbox(node string) <-chan skalds.NodeMessage
	// Partition is the one of the bus that the inbox reads.
	Partition(node string) int32
	// Unplug takes the inbox away.
	Unplug(node string)
	// Report sends messages, all or none, in order.
	Report(msgs ...skalds.HostMessage) error
	// Beat sends a heartbeat on all ways there are, and reports whether it has come through on one of them.
	Beat(h skalds.Heartbeat) bool
}

// Say sends a message as the host.
func (h *Host) Say(m skalds.HostMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.send(m)
}

func (h *Host) run(inbox <-chan skalds.NodeMessage, first func(), stop, done chan struct{}) {
	defer close(done)
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	every := cmp.Or(h.Step, 20*time.Millisecond)
	step := time.NewTicker(every)
	defer step.Stop()
	resend := max(1, int(30*time.Second/every))
	h.locked(first)
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case m := <-inbox:
			h.locked(func() {
				if !h.cut && !h.leaving {
					h.take(m)
				}
			})
		case <-beat.C:
			h.locked(func() { h.beat(); h.reconnect() })
		case <-step.C:
			h.locked(func() {
				h.lease()
				h.insist()
				h.step()
				if n%resend == 0 {
					h.resend()
				}
			})
		}
	}
}

func (h *Host) locked(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
}

// send reports in order, after everything that waits; what the bus does not take waits.
func (h *Host) send(msgs ...skalds.HostMessage) {
	for i := range msgs {
		msgs[i].NodeID, msgs[i].Incarnation = h.ID, h.incarnation
	}
	h.waiting = append(h.waiting, msgs...)
	h.flush()
}

func (h *Host) flush() {
	if !h.cut && h.bus.Report(h.waiting...) == nil {
		h.waiting = nil
	}
}

// reconnect tries again what the bus did not take, and says hello where it has worked: messages may have been lost.
func (h *Host) reconnect() {
	if h.cut || len(h.waiting) == 0 {
		return
	}
	if h.flush(); len(h.waiting) == 0 {
		h.hello()
	}
}

func (h *Host) report(r skalds.Report) {
	h.reportSeq++
	r.Seq, r.At = h.reportSeq, time.Now().UnixMilli()
	if r.State.Final() || r.GoneFor != "" && r.Attempt > 0 {
		h.finals[r.TaskID] = r
	}
	h.send(skalds.HostMessage{Report: &r})
}

func (h *Host) take(m skalds.NodeMessage) {
	if m.Stream == nil {
		if m.Term < h.term {
			return // of a leader that was replaced
		}
		h.term = m.Term
	}
	h.received = append(h.received, m)
	switch {
	case m.Command != nil:
		h.order(*m.Command)
	case m.Answer != nil && m.Answer.Incarnation == h.incarnation && m.Answer.Number >= h.needed:
		h.answered = true
		for _, c := range m.Answer.Commands {
			h.order(c)
		}
	case m.AskHello:
		h.hello()
	}
	for _, k := range m.Acks {
		delete(h.outcomes, k)
		if f, ok := h.finals[k.TaskID]; ok && k.Kind == skalds.OutcomeExit && f.Epoch == k.Epoch && f.Attempt <= k.Attempt {
			delete(h.finals, k.TaskID)
		}
	}
}
