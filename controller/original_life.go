package controller

import (
	"fmt"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/originals"
)

// What becomes of a task on a node of the Python original, as pure functions like those of lifecycle.go. Whenever it is no node's
// any more, its executor is cleared in the same change: an event that is late or repeated starts nothing there.

// originalSource is the source of a task that says none.
const originalSource = "skalds"

// leaveOriginal takes a task that has ended from its node. Nobody answers, so nothing is owed.
func leaveOriginal(t *skalds.Task) {
	t.Executor, t.AckedRevision = "", t.DesiredRevision
}

// originalRuns notes that a task is seen to run; revision is what its node has read.
func originalRuns(t *skalds.Task, revision, now int64) bool {
	if t.LifecycleStatus != skalds.Assigning || !become(t, skalds.Running) {
		return false
	}
	t.Attempt, t.StartedAt, t.WorkerVersion = 1, now, originalRef
	t.AckedRevision = max(t.AckedRevision, min(revision, t.DesiredRevision))
	return true
}

// originalExit says how the bridge saw a run end; nil: it did not.
func originalExit(a originals.Action) *skalds.Exit {
	e := &skalds.Exit{Code: -1, Message: a.Text}
	switch a.Kind {
	case originals.Finished:
		e.Kind, e.Code = skalds.ExitCompleted, 0
	case originals.Failed:
		if e.Kind = skalds.ExitError; e.Message == "" {
			e.Message = "it has failed and does not say why: the log of node " + a.NodeID + " may"
		}
	case originals.Stopped:
		e.Kind, e.Message = skalds.ExitHostStop, "Python node "+a.NodeID+" was stopped, and the task with it"
	case originals.Drained:
		e.Kind, e.Message = skalds.ExitDrain, "moved away from Python node "+a.NodeID
	case originals.Silent:
		e.Kind = skalds.ExitExit
		e.Message = fmt.Sprintf("its process on Python node %s has died without a word or hangs: no heartbeat for %s", a.NodeID, originals.DefaultConfig().Lease)
	case originals.NeverBegan:
		e.Kind = skalds.ExitStartTimeout
		e.Message = fmt.Sprintf("Python node %s has started it, and no heartbeat has come for %s", a.NodeID, originals.DefaultConfig().Start)
	case originals.Vanished:
		e.Kind = skalds.ExitNodeLost
		e.Message = "it has left Python node " + a.NodeID + " without a last word: skalds 0.3.8 loses some, so that it may have finished"
	case originals.NodeLost:
		e = lossOf(a.NodeID, fmt.Sprintf("(Python) was not heard for %s, and the task neither", originals.DefaultConfig().Lease))
	default:
		return nil
	}
	return e
}

// originalEnded brings the end of a run on such a node into its task; it reports whether that changes anything. A task that is to
// be run again stays there, stopping, until nothing of it is left: its node would take the next run for the present one.
func originalEnded(t *skalds.Task, a originals.Action, workerRetry int, now int64) bool {
	if t.Executor != a.NodeID || t.Epoch != a.Epoch || !t.LifecycleStatus.OnNode() {
		return false
	}
	if a.Kind == originals.Free {
		if t.Phase != skalds.PhaseStopping {
			return false
		}
		againFromOriginal(t, now)
		return true
	}
	if t.Phase == skalds.PhaseStopping {
		return false
	}
	exit := originalExit(a)
	if a.Kind == originals.NotTaken {
		node := t.Executor
		why := "does not take it, and does not say why: it may be busy, not read the store, or refuse the attachments; its log says more"
		t.Exception = "node " + node + " " + why
		toCreated(t, now)
		movedAway(t, node, why, now)
		return true
	}
	if exit == nil {
		return false
	}
	if t.Mode == skalds.ModeActive { // its node runs it again, if anybody does
		t.LastExit, t.Exception = exit, ""
		state := skalds.Finished
		if exit.Kind != skalds.ExitCompleted {
			state, t.Exception = skalds.Failed, exitLine(exit)
		}
		become(t, skalds.Running)
		end(t, state, now)
		t.AckedRevision = t.DesiredRevision
		return true
	}
	t.Attempt = max(t.Attempt, 1)
	t.LastExit, t.Exception = exit, exitLine(exit)
	switch {
	case a.Kind == originals.Finished:
		become(t, skalds.Running)
		t.Exception = ""
		end(t, skalds.Finished, now)
		leaveOriginal(t)
		return true
	case exit.Kind.WorkerCaused():
		t.BudgetUsed++
		if r := skalds.RetryFor(t.Retry, t.IsPersistent, workerRetry); r.MaxAttempts != skalds.Unlimited && t.BudgetUsed >= r.MaxAttempts {
			end(t, skalds.Failed, now)
			leaveOriginal(t)
			return true
		}
	case exit.Kind == skalds.ExitNodeLost:
		if takenFromNode(t, exit, now); t.Quarantined != "" && a.Kind == originals.Vanished {
			t.Quarantined = fmt.Sprintf("it has left Python nodes without a last word %d times within %s of its start: retry releases it", len(t.NodeLosses), quarantineWindow)
		}
		return true
	}
	if a.Left {
		againFromOriginal(t, now)
		return true
	}
	become(t, skalds.Running)
	t.Phase = skalds.PhaseStopping
	return true
}

// againFromOriginal hands a task out anew whose run has ended: after a failure elsewhere first, and here after a while.
func againFromOriginal(t *skalds.Task, now int64) {
	node := t.Executor
	toCreated(t, now)
	if t.LastExit != nil && t.LastExit.Kind.WorkerCaused() {
		movedAway(t, node, t.Exception, now)
	}
}
