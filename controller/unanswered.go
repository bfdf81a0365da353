package controller

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the re-sending.
const (
	resendTick   = 200 * time.Millisecond
	resendMax    = 30 * time.Second
	ackSweep     = 10 * time.Second
	ackSweepSize = 10_000
)

// unanswered remembers which commands no node has answered, and sends them again: after two seconds, then twice that. A
// word that a command was received ends this; what became of it is then asked at the slowest pace only, should the answer
// have been lost. The store knows which were carried out.
type unanswered struct {
	store      TaskStore
	cluster    *cluster
	outbox     *outbox
	clock      Clock
	first      time.Duration
	generation func() int64
	takesBack  func(nodeID string) bool // the tasks of a lost node are being taken back
	log        hclog.Logger

	mu   sync.Mutex // guards sent
	sent map[string]*sentCommand
}

type sentCommand struct {
	epoch, revision int64
	due             time.Time
	wait            time.Duration
	received        bool // the node has said so
}

// command sends the desired state of a task to its node, until it is answered.
func (u *unanswered) command(t *skalds.Task) {
	u.mu.Lock()
	u.sent[t.ID] = &sentCommand{epoch: t.Epoch, revision: t.DesiredRevision, due: u.clock.Now().Add(u.first), wait: u.first}
	u.mu.Unlock()
	c := commandFor(t, u.generation())
	u.outbox.send(t.Executor, skalds.NodeMessage{Command: &c})
}

// answered hears of a report that answers a command.
func (u *unanswered) answered(r *skalds.Report) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.sent[r.TaskID]
	if s == nil || r.Epoch != s.epoch || r.DesiredRevision < s.revision {
		return
	}
	if r.Ack == skalds.AckApplied || r.Ack == skalds.AckRefused || r.State.Final() {
		delete(u.sent, r.TaskID)
		return
	}
	s.received = true
	s.wait = resendMax
	s.due = u.clock.Now().Add(s.wait)
}

// isReceived reports whether the node has said that it has a task's last command.
func (u *unanswered) isReceived(taskID string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.sent[taskID]
	return s != nil && s.received
}

// settled forgets a task whose node owes no answer.
func (u *unanswered) settled(taskID string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.sent, taskID)
}

// reset forgets everything: another controller has led since.
func (u *unanswered) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sent = map[string]*sentCommand{}
}

// Run sends again until ctx ends.
func (u *unanswered) Run(ctx context.Context) error {
	tick := time.NewTicker(resendTick)
	defer tick.Stop()
	var swept time.Time
	for {
		now := u.clock.Now()
		if swept.IsZero() || now.Sub(swept) >= ackSweep {
			swept = now
			u.sweep(ctx)
		}
		for _, id := range u.overdue(now) {
			u.again(ctx, id)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep finds in the store what this process does not remember: commands from before its start, and changes that another
// controller has written.
func (u *unanswered) sweep(ctx context.Context) {
	c, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	tasks, err := u.store.Unacked(c, ackSweepSize)
	if err != nil {
		if ctx.Err() == nil {
			u.log.Warn("cannot look for unanswered commands", "err", err)
		}
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	open := make(map[string]bool, len(tasks))
	now := u.clock.Now()
	for _, t := range tasks {
		open[t.ID] = true
		if s := u.sent[t.ID]; s == nil || s.epoch != t.Epoch || s.revision < t.DesiredRevision {
			u.sent[t.ID] = &sentCommand{epoch: t.Epoch, revision: t.DesiredRevision, due: now, wait: u.first}
		}
	}
	if len(tasks) == ackSweepSize {
		return
	}
	for id, s := range u.sent {
		if !open[id] && s.due.Before(now) {
			delete(u.sent, id)
		}
	}
}

func (u *unanswered) overdue(now time.Time) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []string
	for id, s := range u.sent {
		if now.Before(s.due) {
			continue
		}
		s.wait = min(2*s.wait, resendMax)
		s.due = now.Add(s.wait)
		out = append(out, id)
	}
	return out
}

// again sends the present desired state of a task, if its node lives and still owes an answer.
func (u *unanswered) again(ctx context.Context, id string) {
	c, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	t, err := u.store.Task(c, id)
	if err != nil {
		if skalds.CodeOf(err) == skalds.CodeNotFound {
			u.settled(id)
		}
		return
	}
	if t.Executor == "" || u.cluster.isOriginal(t.Executor) || t.AckedRevision >= t.DesiredRevision || t.LifecycleStatus == skalds.Created {
		u.settled(id)
		return
	}
	if !u.cluster.isAlive(t.Executor) {
		if movesWhenLost(t) && !u.takesBack(t.Executor) {
			u.cluster.expect(t.Executor, u.clock.Now()) // stored late, when all else had been taken back: no hello may ever come
		}
		return // its next hello is answered with everything
	}
	u.log.Debug("command sent again", "task_id", id, "node_id", t.Executor, "epoch", t.Epoch, "desired_revision", t.DesiredRevision)
	cmd := commandFor(t, u.generation())
	u.outbox.send(t.Executor, skalds.NodeMessage{Command: &cmd})
}
