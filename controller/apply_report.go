package controller

import (
	"encoding/json"

	"github.com/skalds-go/skalds"
)

// verdict is what became of a report.
type verdict int

const (
	reportIgnored verdict = iota // old, repeated, or of no consequence
	reportApplied                // the task has changed
	reportStale                  // of an assignment that is no more: its process must go
)

// origin says who sent a report.
type origin struct {
	node        string
	incarnation int64
}

// applyReport changes a task by what its node reports.
func applyReport(t *skalds.Task, from origin, r *skalds.Report, now int64) verdict {
	switch {
	case r.Epoch < t.Epoch:
		if alive(r.State) && t.Mode != skalds.ModeActive { // an edge host is told the store's epoch by an answer
			return reportStale
		}
		return reportIgnored
	case r.Epoch > t.Epoch: // an edge host's new number, whose entry has not come yet
		return reportIgnored
	case from.node != t.Executor:
		if alive(r.State) {
			return reportStale
		}
		return reportIgnored
	case r.State == "" && r.Ack != skalds.AckApplied && r.Ack != skalds.AckRefused:
		return reportIgnored
	case from.incarnation < t.AppliedIncarnation || from.incarnation == t.AppliedIncarnation && r.Seq <= t.AppliedSeq:
		return reportIgnored
	}
	t.AppliedIncarnation, t.AppliedSeq = from.incarnation, r.Seq
	if r.Ack == skalds.AckApplied || r.Ack == skalds.AckRefused {
		t.AckedRevision = max(t.AckedRevision, min(r.DesiredRevision, t.DesiredRevision))
	}
	if t.LifecycleStatus.Final() {
		if alive(r.State) && t.Mode != skalds.ModeActive {
			return reportStale // it ended before, so this is no process that anybody knows of
		}
		completeFinal(t, r)
		return reportApplied
	}
	switch {
	case r.Ack == skalds.AckRefused:
		return refused(t, from, r, now)
	case r.State != "":
		takeState(t, from, r, now)
	case t.Desired == skalds.DesiredGone && r.DesiredRevision == t.DesiredRevision:
		toCreated(t, now) // it was to leave, and had not even come
	}
	return reportApplied
}

func alive(s skalds.State) bool {
	return s == skalds.Assigning || s == skalds.Running || s == skalds.Paused
}

// takeProgress keeps how far a task has come. An attempt that has not said anything yet begins anew; else a report without
// progress says nothing of it.
func takeProgress(t *skalds.Task, r *skalds.Report) {
	if r.Progress != (skalds.Progress{}) && r.Attempt >= t.Attempt || r.Attempt > t.Attempt {
		t.Progress = r.Progress
	}
}

// completeFinal adds to the records of a task that has ended; its state is frozen.
func completeFinal(t *skalds.Task, r *skalds.Report) {
	if r.State.Final() || r.State == skalds.Created || r.State == "" {
		t.AckedRevision = t.DesiredRevision // the process is gone
	}
	takeProgress(t, r) // a cancelled task goes on until its node hears of it
	if r.Exit != nil {
		e := *r.Exit
		t.LastExit = &e
	}
	if r.WorkerVersion != "" {
		t.WorkerVersion = r.WorkerVersion
	}
}

// refused takes a task back from a node that does not run it.
func refused(t *skalds.Task, from origin, r *skalds.Report, now int64) verdict {
	if (r.DesiredRevision < t.DesiredRevision || t.Mode == skalds.ModeActive) && t.LifecycleStatus != skalds.Assigning {
		return reportApplied // a wish that has been overtaken, or one about a task that its own host goes on with
	}
	if r.Permanent {
		t.LastExit = &skalds.Exit{Kind: skalds.ExitError, Code: -1, Message: r.Reason, Permanent: true}
		t.Exception = r.Reason
		if !become(t, skalds.Failed) {
			return reportIgnored
		}
		end(t, skalds.Failed, now)
		t.AckedRevision = t.DesiredRevision
		return reportApplied
	}
	placed := t.LifecycleStatus != skalds.Assigning // it had accepted the task before
	toCreated(t, now)
	if !placed {
		t.Error = r.Reason
		movedAway(t, from.node, r.Reason, now)
	}
	return reportApplied
}

// takeState puts a reported state in force.
func takeState(t *skalds.Task, from origin, r *skalds.Report, now int64) {
	was := t.LifecycleStatus
	if r.State != skalds.Assigning && !become(t, r.State) {
		return
	}
	t.Phase, t.NextAttemptAt = r.Phase, r.NextAttemptAt
	takeProgress(t, r)
	t.Attempt = max(t.Attempt, r.Attempt)
	t.BudgetUsed = max(t.BudgetUsed, r.BudgetUsed)
	t.RowFailures = r.RowFailures
	if t.Mode == skalds.ModeActive { // a changed entry of a file begins anew without a new run
		t.MemoryFailures, t.MemoryLimit = r.MemoryFailures, r.MemoryLimit
	} else {
		t.MemoryFailures, t.MemoryLimit = max(t.MemoryFailures, r.MemoryFailures), max(t.MemoryLimit, r.MemoryLimit)
	}
	t.PID, t.StartedAt = r.PID, max(t.StartedAt, r.StartedAt)
	if r.WorkerVersion != "" {
		t.WorkerVersion = r.WorkerVersion
	}
	if r.Error != "" || r.State == skalds.Running || r.State == skalds.Paused {
		t.Error = r.Error // a report of a living task says all that is wrong with it now: nothing, where the error is over
	}
	if r.Exception != "" {
		t.Exception = r.Exception
	}
	if r.Exit != nil {
		e := *r.Exit
		t.LastExit = &e
	}
	switch {
	case r.State == skalds.Created:
		givenBack(t, was, from, r, now)
	case r.State.Final():
		end(t, r.State, now)
		t.AckedRevision = t.DesiredRevision
		if r.State == skalds.Finished {
			t.Exception = ""
		}
	}
}

// givenBack takes a task from a host that does not run it any more. One that was paused, or should be, stays so.
func givenBack(t *skalds.Task, was skalds.State, from origin, r *skalds.Report, now int64) {
	t.LifecycleStatus = skalds.Running // become has moved it; what follows depends on what it was
	if t.Desired == skalds.DesiredPaused || t.Desired == skalds.DesiredGone && was == skalds.Paused {
		t.LifecycleStatus = skalds.Paused
	}
	toCreated(t, now)
	switch r.GoneFor {
	case "move":
		movedAway(t, from.node, t.Exception, now)
	case "memory": // that it has too little for the raised limit, the dispatcher sees for itself: there is nothing to wait for
		t.AvoidNode = from.node
	}
}

// applyOutcome completes a task by a record that the store has just taken; it reports whether the task has changed.
func applyOutcome(t *skalds.Task, o *skalds.Outcome) bool {
	if o.Epoch < t.RunEpoch || o.Epoch > t.Epoch {
		return false // of an earlier run
	}
	switch o.Kind {
	case skalds.OutcomeResult:
		if o.Epoch < t.Epoch && t.Result != nil {
			return false
		}
		if skalds.ContentHash(t.Result) == skalds.ContentHash(o.Value) {
			return false
		}
		t.Result = o.Value
		return true
	case skalds.OutcomeStage:
		if _, known := t.Stages[o.Name]; known || t.LifecycleStatus.Final() {
			return false
		}
		if t.Stages == nil {
			t.Stages = map[string]json.RawMessage{}
		}
		t.Stages[o.Name] = o.Value
		return true
	case skalds.OutcomeExit:
		if o.Exit == nil || o.Exit.Exit == nil || o.Epoch != t.Epoch || o.Attempt < t.Attempt || t.LastExit != nil {
			return false
		}
		e := *o.Exit.Exit
		t.LastExit = &e
		return true
	}
	return false
}
