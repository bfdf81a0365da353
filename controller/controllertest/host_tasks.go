package controllertest

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// Plan is what a pretended worker does in one attempt.
type Plan struct {
	Runs   time.Duration // how long; below zero: until it is stopped
	Exit   skalds.Exit   // how it ends; the zero value is completed
	Refuse string        // the host refuses the task for this reason
	Final  bool          // with Refuse: no other node would do better
	Result json.RawMessage
	Needs  int64 // with an end for memory: the raised limit, for which the host gives the task back
}

type heldMark struct {
	generation, epoch, revision int64
	closed                      bool
	incarnation                 int64
}

type instance struct {
	cmd     skalds.Command
	epoch   int64 // under which the process was started
	attempt int
	budget  int
	state   skalds.State
	plan    Plan
	started time.Time
	left    time.Duration // until it ends, without pauses
	since   time.Time
	dead    bool // killed while the host was frozen, which does not know it yet
}

func (h *Host) watch(in *instance, runs bool) {
	if h.Watch != nil && !in.dead {
		h.Watch(in.cmd.TaskID, in.epoch, runs)
	}
}

func (h *Host) inOrder() []*instance {
	var out []*instance
	for _, in := range h.running {
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b *instance) int { return cmp.Compare(a.cmd.TaskID, b.cmd.TaskID) })
	return out
}

func (h *Host) order(c skalds.Command) {
	known, ok := h.marks[c.TaskID]
	last := skalds.Command{Generation: known.generation, Epoch: known.epoch, DesiredRevision: known.revision}
	ack := skalds.Report{TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Ack: skalds.AckReceived}
	in := h.running[c.TaskID]
	if ok && !c.Newer(&last) {
		if !last.Newer(&c) {
			h.repeat(c)
		}
		return
	}
	if c.Desired != skalds.DesiredGone && !h.answered {
		return
	}
	left := ok && in == nil && known.epoch == c.Epoch && (known.closed || known.incarnation != h.incarnation)
	h.marks[c.TaskID] = heldMark{c.Generation, c.Epoch, c.DesiredRevision, left, h.incarnation}
	if left { // a wish that has crossed the word of its end, or the hello of a new incarnation: an epoch is not begun twice
		h.repeat(c)
		return
	}
	if f, ok := h.finals[c.TaskID]; ok && f.Epoch < c.Epoch {
		delete(h.finals, c.TaskID)
	}
	h.report(ack)
	ack.Ack = skalds.AckApplied
	switch {
	case c.Desired == skalds.DesiredGone && in == nil:
		h.close(c.TaskID)
		h.report(ack)
	case c.Desired == skalds.DesiredGone:
		in.cmd.DesiredRevision = c.DesiredRevision
		if c.Epoch == in.cmd.Epoch && c.Reason == string(skalds.ExitDrain) {
			h.end(in, skalds.Report{State: skalds.Created, GoneFor: c.Reason, Ack: skalds.AckApplied}, &skalds.Exit{Kind: skalds.ExitDrain})
			return
		}
		kind := skalds.ExitKind(c.Reason)
		h.drop(in, &skalds.Exit{Kind: kind})
		h.close(c.TaskID)
		if kind == skalds.ExitCancelled {
			ack.State = skalds.Cancelled
		}
		h.report(ack)
	case in != nil && in.cmd.Epoch == c.Epoch:
		in.cmd = c
		h.steer(in)
		h.report(skalds.Report{
			TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Ack: skalds.AckApplied, State: in.state, Attempt: in.attempt,
			BudgetUsed: in.budget, PID: 4711, StartedAt: in.started.UnixMilli(),
		})
	default:
		if in != nil {
			h.drop(in, &skalds.Exit{Kind: skalds.ExitSuperseded})
		}
		h.launch(&instance{cmd: c, epoch: c.Epoch, budget: c.BudgetUsed})
	}
}

// repeat answers a command by what has become of the task here.
func (h *Host) repeat(c skalds.Command) {
	r := skalds.Report{TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision}
	in := h.running[c.TaskID]
	switch f := h.finals[c.TaskID]; {
	case in != nil:
		r.Ack, r.State, r.Attempt = skalds.AckApplied, in.state, in.attempt
	case f.TaskID != "" && f.Epoch == c.Epoch:
		r = f
	case c.Desired == skalds.DesiredGone:
		r.Ack = skalds.AckApplied
	default:
		r.Ack, r.Reason = skalds.AckRefused, "the task has left this host"
	}
	h.report(r)
}

// steer pauses or resumes.
func (h *Host) steer(in *instance) {
	now := time.Now()
	switch {
	case in.cmd.Desired == skalds.DesiredPaused && in.state == skalds.Running:
		in.left -= now.Sub(in.since)
		in.state = skalds.Paused
	case in.cmd.Desired == skalds.DesiredRunning && in.state == skalds.Paused:
		in.state, in.since = skalds.Running, now
	}
}

func (h *Host) launch(in *instance) {
	in.attempt++
	in.plan = h.Behave(in.cmd, in.attempt)
	if in.plan.Refuse != "" {
		if h.running[in.cmd.TaskID] != nil {
			delete(h.running, in.cmd.TaskID)
			h.watch(in, false)
		}
		h.close(in.cmd.TaskID)
		h.report(skalds.Report{
			TaskID: in.cmd.TaskID, Epoch: in.cmd.Epoch, DesiredRevision: in.cmd.DesiredRevision, Ack: skalds.AckRefused,
			Reason: in.plan.Refuse, Permanent: in.plan.Final,
		})
		return
	}
	h.starts[in.cmd.TaskID]++
	in.started, in.since, in.left, in.state = time.Now(), time.Now(), in.plan.Runs, skalds.Running
	h.running[in.cmd.TaskID] = in
	if in.attempt == 1 {
		h.watch(in, true)
	}
	h.steer(in)
	h.report(skalds.Report{
		TaskID: in.cmd.TaskID, Epoch: in.cmd.Epoch, DesiredRevision: in.cmd.DesiredRevision, Ack: skalds.AckApplied, State: in.state,
		Attempt: in.attempt, BudgetUsed: in.budget, WorkerVersion: h.worker(), PID: 4711, StartedAt: in.started.UnixMilli(),
	})
}

// step ends what has run long enough.
func (h *Host) step() {
	for _, in := range h.inOrder() {
		if in.state != skalds.Running || in.plan.Runs < 0 || time.Since(in.since) < in.left {
			continue
		}
		exit := in.plan.Exit
		if exit.Kind == "" || exit.Kind == skalds.ExitCompleted {
			if in.plan.Result != nil {
				h.outcome(skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: in.cmd.TaskID, Epoch: in.cmd.Epoch, Attempt: in.attempt, Kind: skalds.OutcomeResult}, Value: in.plan.Result})
			}
			h.end(in, skalds.Report{State: skalds.Finished}, &skalds.Exit{Kind: skalds.ExitCompleted})
			continue
		}
		if in.plan.Needs > 0 {
			h.end(in, skalds.Report{
				State: skalds.Created, GoneFor: "memory", Exception: exit.Message,
				MemoryFailures: in.cmd.MemoryFailures + 1, MemoryLimit: in.plan.Needs,
			}, &exit)
			continue
		}
		in.budget++
		switch limit := in.cmd.Spec.Retry.MaxAttempts; {
		case exit.Permanent || limit > 0 && in.budget >= limit:
			h.end(in, skalds.Report{State: skalds.Failed, Exception: exit.Message}, &exit)
		case in.attempt >= 3:
			h.end(in, skalds.Report{State: skalds.Created, GoneFor: "move", Exception: exit.Message}, &exit)
		default:
			h.record(in, &exit)
			h.launch(in)
		}
	}
}

// end closes a task here: its last report, then its record.
func (h *Host) end(in *instance, r skalds.Report, exit *skalds.Exit) {
	r.TaskID, r.Epoch, r.DesiredRevision = in.cmd.TaskID, in.cmd.Epoch, in.cmd.DesiredRevision
	r.Attempt, r.BudgetUsed, r.Exit, r.WorkerVersion = in.attempt, in.budget, exit, h.worker()
	h.watch(in, false)
	delete(h.running, in.cmd.TaskID)
	h.close(in.cmd.TaskID)
	h.report(r)
	h.record(in, exit)
}

// drop ends a process that has no say any more; only its record is left.
func (h *Host) drop(in *instance, exit *skalds.Exit) {
	delete(h.running, in.cmd.TaskID)
	h.watch(in, false)
	h.record(in, exit)
}

func (h *Host) close(taskID string) {
	m := h.marks[taskID]
	m.closed = true
	h.marks[taskID] = m
}

func (h *Host) record(in *instance, exit *skalds.Exit) {
	h.outcome(skalds.Outcome{
		OutcomeKey: skalds.OutcomeKey{TaskID: in.cmd.TaskID, Epoch: in.epoch, Attempt: in.attempt, Kind: skalds.OutcomeExit},
		Exit: &skalds.Attempt{
			TaskID: in.cmd.TaskID, Epoch: in.epoch, Attempt: in.attempt, Node: h.ID, Version: h.worker(), PID: 4711,
			StartedAt: in.started.UnixMilli(), EndedAt: time.Now().UnixMilli(), Exit: exit, LogTail: "last words of " + in.cmd.TaskID + "\n",
		},
	})
}

func (h *Host) outcome(o skalds.Outcome) {
	h.outcomes[o.OutcomeKey] = o
	h.recorded = append(h.recorded, o)
	h.send(skalds.HostMessage{Outcome: &o})
}
