package host

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the reporter.
const (
	reportBatch    = 256
	reportTimeout  = 5 * time.Second
	resendOutcomes = 30 * time.Second // an outcome without an answer for so long is sent again
	beatTimeout    = 500 * time.Millisecond
)

// reporter tells the controllers what happens here, in order, and never makes a task wait: what cannot be sent stays
// queued, newer reports of a task take the place of older ones, and outcomes wait in the journal. Without a bus it does
// nothing.
type reporter struct {
	nodeID      string
	incarnation int64
	bus         Bus
	beats       HeartbeatStore
	journal     *journal
	log         hclog.Logger
	now         func() time.Time

	wake chan struct{}

	since time.Time // the start

	mu      sync.Mutex // guards all below
	seq     int64
	queue   []skalds.HostMessage
	sending int  // length of the batch that is on its way
	failing bool // the last sending failed
	idle    chan struct{}
}

func newReporter(nodeID string, j *journal, bus Bus, beats HeartbeatStore, now func() time.Time, log hclog.Logger) *reporter {
	return &reporter{
		nodeID: nodeID, incarnation: j.incarnation(), bus: bus, beats: beats, journal: j, log: log, now: now, since: time.Now(),
		wake: make(chan struct{}, 1), idle: make(chan struct{}, 1),
	}
}

// state queues a change of a task's state. A final one is kept in the journal until the store has it.
func (r *reporter) state(rep skalds.Report) {
	if r.bus == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	rep = cutReport(rep, maxText, maxStack)
	rep.Seq, rep.At = r.seq, r.now().UnixMilli()
	if rep.State.Final() || (rep.GoneFor != "" && rep.Attempt > 0) {
		r.journal.add(record{Final: &rep})
	}
	if r.failing {
		rep = r.mergeQueued(rep)
	}
	r.push(skalds.HostMessage{Report: &rep})
}

// mergeQueued takes an older unsent report of the same assignment out of the queue, and keeps of it what the newer one
// does not say.
func (r *reporter) mergeQueued(rep skalds.Report) skalds.Report {
	for i := r.sending; i < len(r.queue); i++ {
		old := r.queue[i].Report
		if old == nil || old.TaskID != rep.TaskID || old.Epoch != rep.Epoch {
			continue
		}
		if rep.State == "" {
			merged := *old
			if rep.Progress != (skalds.Progress{}) {
				merged.Progress = rep.Progress
			}
			merged.Seq, merged.At, merged.Ack, merged.Reason, merged.DesiredRevision = rep.Seq, rep.At, rep.Ack, rep.Reason, rep.DesiredRevision
			rep = merged
		} else if rep.Ack == "" && old.DesiredRevision == rep.DesiredRevision {
			rep.Ack = old.Ack
		}
		r.queue = slices.Delete(r.queue, i, i+1)
		break
	}
	return rep
}

// outcome keeps a record until a controller has acknowledged it, and sends it.
func (r *reporter) outcome(o skalds.Outcome) {
	if r.bus == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.journal.add(record{Open: &o})
	if !r.failing { // else it goes out with all the open ones
		r.push(skalds.HostMessage{Outcome: &o})
	}
}

// send queues any other message.
func (r *reporter) send(msgs ...skalds.HostMessage) {
	if r.bus == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.push(msgs...)
}

// hello queues what a controller must know of a host that starts or reconnects, in the order that it relies on: first how
// things ended here, so that nothing is run again that has finished, then the hello, then all open outcomes.
func (r *reporter) hello(parts []skalds.Hello) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var finals []skalds.Report
	r.journal.read(func(s *journalState) {
		for _, f := range s.finals {
			finals = append(finals, f)
		}
	})
	slices.SortFunc(finals, func(a, b skalds.Report) int { return int(a.At - b.At) })
	for _, f := range finals {
		r.seq++
		f.Seq = r.seq
		r.push(skalds.HostMessage{Report: &f})
	}
	for _, p := range parts {
		r.push(skalds.HostMessage{Hello: &p})
	}
	for _, o := range r.journal.unsent() {
		r.push(skalds.HostMessage{Outcome: &o})
	}
}

// helloWaits reports whether a hello has not been sent yet.
func (r *reporter) helloWaits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.queue, func(m skalds.HostMessage) bool { return m.Hello != nil })
}

// push appends to the queue. The mutex is held.
func (r *reporter) push(msgs ...skalds.HostMessage) {
	for i := range msgs {
		msgs[i].NodeID, msgs[i].Incarnation = r.nodeID, r.incarnation
	}
	r.queue = append(r.queue, msgs...)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends.
func (r *reporter) Run(ctx context.Context) error {
	if r.bus == nil {
		<-ctx.Done()
		return nil
	}
	ended := make(chan skalds.Report, 1024)
	var wg sync.WaitGroup
	wg.Go(func() { r.tellEnds(ctx, ended) })
	defer wg.Wait()
	resend := time.NewTicker(resendOutcomes)
	defer resend.Stop()
	delay := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-resend.C:
			r.resendStale()
		case <-r.wake:
		}
		for {
			more, err := r.sendBatch(ctx, ended)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				delay = 0
				if !more {
					break
				}
				continue
			}
			delay = min(max(2*delay, 200*time.Millisecond), 5*time.Second)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(delay):
			}
		}
	}
}

// sendBatch sends the head of the queue, after the journal is durable.
func (r *reporter) sendBatch(ctx context.Context, ended chan<- skalds.Report) (more bool, err error) {
	r.mu.Lock()
	n := min(len(r.queue), reportBatch)
	batch := slices.Clone(r.queue[:n])
	r.sending = n
	r.mu.Unlock()
	if n == 0 {
		r.signalIdle()
		return false, nil
	}
	if err := r.journal.sync(); err != nil {
		r.log.Debug("reports go out before the journal is durable", "err", err)
	}
	for _, m := range batch {
		if m.Outcome != nil {
			r.journal.sent(m.Outcome.OutcomeKey, r.now())
		}
	}
	sendCtx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	err = r.bus.Report(sendCtx, batch...)
	var again []skalds.HostMessage
	var unsendable *skalds.UnsendableError
	if errors.As(err, &unsendable) { // the others have gone out
		again, err = r.leaveOut(batch, unsendable), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sending = 0
	if err != nil {
		if !r.failing && !settingUp(err, r.since) {
			r.log.Warn("cannot report to the controllers: reports wait, tasks go on", "err", err)
		}
		r.failing = true
		return true, err
	}
	r.queue = slices.Replace(r.queue, 0, n, again...)
	if r.failing {
		r.failing = false
		r.log.Info("reports get through to the bus again", "waiting", len(r.queue))
		for _, o := range r.journal.stale(time.Time{}.Add(1)) {
			r.push(skalds.HostMessage{Outcome: &o})
		}
	}
	for _, m := range batch {
		if m.Report != nil && m.Report.State.Final() {
			select {
			case ended <- *m.Report:
			default: // a courtesy to readers of the original's keys, no more
			}
		}
	}
	if len(r.queue) == 0 {
		r.signalIdle()
	}
	return len(r.queue) > 0, nil
}

// leaveOut deals with the messages of a batch that can never be sent: they are tried again without what they can do
// without, or forgotten, in the journal as well. A task must not wait for ever because its last word was too long.
func (r *reporter) leaveOut(batch []skalds.HostMessage, e *skalds.UnsendableError) (again []skalds.HostMessage) {
	for _, u := range e.Messages {
		m := batch[u.Index]
		small, ok := shrunken(m)
		if ok {
			again = append(again, small)
			r.log.Warn("a message to the controllers cannot be sent: it is shortened", "task_id", subject(m), "err", u.Err)
		} else {
			r.log.Error("a message to the controllers cannot be sent: it is dropped", "task_id", subject(m), "err", u.Err)
		}
		switch {
		case m.Outcome != nil && ok:
			r.journal.notSent(m.Outcome.OutcomeKey)
			r.journal.add(record{Open: small.Outcome})
		case m.Outcome != nil:
			r.journal.add(record{Acked: &m.Outcome.OutcomeKey})
		case m.Report != nil && (m.Report.State.Final() || m.Report.GoneFor != "") && r.journal.hasFinal(m.Report.TaskID, m.Report.Epoch):
			if ok {
				r.journal.add(record{Final: small.Report})
			} else {
				r.journal.add(record{Told: m.Report.TaskID})
			}
		}
	}
	return again
}

// subject is the task that a message is about, empty: none.
func subject(m skalds.HostMessage) string {
	switch {
	case m.Report != nil:
		return m.Report.TaskID
	case m.Outcome != nil:
		return m.Outcome.TaskID
	case m.Edge != nil:
		return m.Edge.Spec.ID
	}
	return ""
}

// resendStale queues the outcomes that nobody has answered for long.
func (r *reporter) resendStale() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing {
		return
	}
	for _, o := range r.journal.stale(r.now().Add(-resendOutcomes)) {
		r.push(skalds.HostMessage{Outcome: &o})
	}
}

// tellEnds writes the original's last value of each task that has ended.
func (r *reporter) tellEnds(ctx context.Context, ended <-chan skalds.Report) {
	for {
		select {
		case <-ctx.Done():
			return
		case rep := <-ended:
			if r.beats == nil {
				continue
			}
			c, cancel := context.WithTimeout(ctx, beatTimeout)
			if err := r.beats.TaskEnded(c, rep.TaskID, rep.State, rep.Exception); err != nil {
				r.log.Debug("cannot write the last heartbeat of a task", "task_id", rep.TaskID, "err", err)
			}
			cancel()
		}
	}
}

func (r *reporter) signalIdle() {
	select {
	case r.idle <- struct{}{}:
	default:
	}
}

// flush waits until everything queued has been sent, or ctx ends.
func (r *reporter) flush(ctx context.Context) {
	if r.bus == nil {
		return
	}
	for {
		r.mu.Lock()
		empty := len(r.queue) == 0
		r.mu.Unlock()
		if empty {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-r.idle:
		}
	}
}
