package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

type jsonValue = json.RawMessage

// refusedRetry is how long an edge task waits before it looks again for a worker that was not there.
const refusedRetry = 10 * time.Second

// handle takes one message of an attempt or of an operation on it. Those of a former attempt mean nothing any more.
func (r *taskRunner) handle(m any) {
	switch m := m.(type) {
	case attemptResolved:
		r.resolved = true
	case attemptLaunched:
		r.live, r.unlucky = true, 0
		r.deadline.launched = r.deps.now()
		if s := r.stopping; s != nil {
			r.stopping = nil
			r.stopAttempt(*s)
		}
	case attemptStarted:
		r.inMain = true
		r.accepted = r.held
		r.deadline.start(r.deps.now())
		a := m.attempt
		a.log.Info("running", "pid", a.instance.PID())
		r.report(skalds.Report{State: skalds.Running, Ack: skalds.AckApplied})
	case attemptTrouble:
		_, _, trouble := m.attempt.live()
		if trouble != "" {
			m.attempt.taskLog.write(r.deps.now(), hclog.Warn, m.attempt.number, trouble)
		}
		if r.stopping == nil {
			r.report(skalds.Report{State: r.state})
		}
	case attemptStage:
		if r.origin == fromFile && m.attempt.epoch.Load() != r.cmd.Epoch {
			break // of what the entry asked for before
		}
		r.stages[m.name] = m.value
		r.keepForRestart()
	case attemptContract:
		r.deadline.contract(r.deps.now(), m.unit, m.budget)
	case operationDone:
		if m.attempt == r.attempt {
			r.busy = ""
			if r.stopping == nil {
				m.then(m.err)
			}
		}
	case attemptEnded:
		r.attemptEnded(m)
	}
	r.deps.changed()
}

// attemptEnded decides what follows an attempt.
func (r *taskRunner) attemptEnded(m attemptEnded) {
	a, exit := m.attempt, m.exit
	stopping, healthy := r.stopping, r.deadline.healthy(r.deps.now())
	r.cancel(nil)
	r.progress, _, _ = a.live()
	r.attempt, r.stopping, r.busy = nil, nil, ""
	r.resolved, r.live, r.inMain, r.frozen = false, false, false, false
	if stopping != nil && exit.Kind != skalds.ExitCompleted {
		exit.Kind = stopping.kind
		if exit.Message == "" || a.instance == nil || stopping.explained {
			exit.Message = stopping.message
		}
		exit.Permanent, exit.Limit = false, ""
	}
	m.record.Exit = &exit
	r.lastExit = &exit
	r.mu.Lock()
	leaving := r.leaving
	r.mu.Unlock()

	var refused *refusal
	if errors.As(a.err, &refused) && stopping == nil {
		r.refused(refused, m.record)
		return
	}
	a.log.Info("attempt ended", "reason", exit.Kind, "exit_code", exit.Code, "signal", exit.Signal, "message", exit.Message)
	a.taskLog.write(r.deps.now(), hclog.Info, a.number, "ended: "+exitLine(exit))
	if stopping != nil && exit.Kind != skalds.ExitCompleted {
		if leaving != nil {
			r.departed(*leaving, &m.record)
			return
		}
		if !exit.Kind.WorkerCaused() {
			r.keepRecord(m.record)
			return // reconcile starts what is wanted now
		}
	}
	r.decide(a, exit, healthy, m.record)
}

// decide asks the restart policy and does what it says.
func (r *taskRunner) decide(a *attempt, exit skalds.Exit, healthy time.Duration, rec skalds.Attempt) {
	before := r.restart
	d := decideRestart(r.cmd.Spec.Retry, r.restart, restartInput{
		Exit: exit, Healthy: healthy, CanMove: r.origin == fromController, Jitter: r.deps.random(),
		MemoryLimit: a.limits.MemoryBytes, FirstLimit: a.firstMemory, MemoryRoom: r.deps.memoryRoom(r.taskID),
	})
	r.restart = d.State
	if d.State.MemoryFailures != before.MemoryFailures {
		r.keepForRestart()
	}
	if d.State.MemoryLimit != before.MemoryLimit && d.Action != restartFail {
		r.log.Info("the memory limit is raised for the next attempt", "memory_bytes", d.State.MemoryLimit)
		r.taskLog.write(r.deps.now(), hclog.Info, a.number, fmt.Sprintf("the memory limit is raised to %d MiB for the next attempt", d.State.MemoryLimit>>20))
	}
	switch d.Action {
	case restartFinish:
		r.end(skalds.Finished, skalds.Report{Exit: &exit}, &rec)
	case restartFail:
		r.end(skalds.Failed, skalds.Report{Exit: &exit, Exception: exitLine(exit)}, &rec)
	case restartGiveBack:
		r.end("", skalds.Report{State: skalds.Created, GoneFor: d.Gone, Exit: &exit, Exception: exitLine(exit)}, &rec)
	default:
		r.backoff = r.deps.now().Add(d.Delay)
		rep := skalds.Report{State: skalds.Running, Phase: skalds.PhaseStarting, Exit: &exit, Exception: exitLine(exit)}
		if d.Delay > 0 {
			rep.Phase, rep.NextAttemptAt = skalds.PhaseBackoff, r.backoff.UnixMilli()
			r.log.Info("next attempt is planned", "in", d.Delay.Round(time.Millisecond))
		}
		r.waiting = ""
		r.report(rep)
		r.keepRecord(rec)
	}
}

// unluckyLimit is how many starts in a row this node may fail to make before another node gets the task.
const unluckyLimit = 5

// unluckyDelay is how long to wait after n of them.
func unluckyDelay(n int, jitter float64) time.Duration {
	d := min(250*time.Millisecond<<min(n-1, 10), refusedRetry)
	return time.Duration(float64(d) * (0.75 + 0.5*jitter))
}

// refused handles an attempt that was not even launched for a reason that is no fault of the task's run: where this node
// may do better in a moment, it tries again for a while; else a controller gets the task back, and a task from a file fails
// where nothing can cure it, and waits otherwise.
func (r *taskRunner) refused(refused *refusal, rec skalds.Attempt) {
	why := *refused
	why.reason = cut(why.reason, maxText) // it quotes what a user has written
	r.log.Warn("the task cannot be started", "reason", why.reason)
	r.taskLog.write(r.deps.now(), hclog.Error, r.number, why.reason)
	if why.passing {
		r.unlucky++
		if r.origin == fromFile || r.unlucky < unluckyLimit {
			r.wait(why.reason, unluckyDelay(r.unlucky, r.deps.random()))
			return
		}
		if r.origin == fromController {
			r.end("", skalds.Report{State: skalds.Created, GoneFor: goneMove, Exception: why.reason}, nil)
			return
		}
	}
	if r.origin == fromController {
		r.end("", skalds.Report{Ack: skalds.AckRefused, Reason: why.reason, Permanent: why.permanent, Exception: why.reason}, nil)
		return
	}
	if why.permanent || r.origin == fromCommand {
		exit := skalds.Exit{Kind: skalds.ExitError, Code: -1, Message: why.reason, Permanent: true}
		rec.Exit = &exit
		r.lastExit = &exit
		r.end(skalds.Failed, skalds.Report{Exit: &exit, Exception: why.reason}, &rec)
		return
	}
	r.wait(why.reason, refusedRetry)
}

// wait plans another start after one that did not come about.
func (r *taskRunner) wait(reason string, delay time.Duration) {
	r.waiting = reason
	r.backoff = r.deps.now().Add(delay)
	r.number-- // it was none
	r.report(skalds.Report{State: skalds.Running, Phase: skalds.PhaseBackoff, NextAttemptAt: r.backoff.UnixMilli(), Error: reason})
}

// departed is the end of the leave-taking: the process is dead.
func (r *taskRunner) departed(d departure, rec *skalds.Attempt) {
	rep := skalds.Report{Ack: skalds.AckApplied, Exit: r.lastExit}
	if rec == nil {
		rep.Exit = nil
	}
	switch {
	case d.quiet:
		r.end("", skalds.Report{}, rec)
	case d.kind == skalds.ExitCancelled:
		r.end(skalds.Cancelled, rep, rec)
	default:
		rep.State, rep.GoneFor = skalds.Created, string(d.kind)
		r.end("", rep, rec)
	}
}

// end closes the task on this host: its last report, then the record, in this order, so that a controller which has
// acknowledged the record has applied the report before.
func (r *taskRunner) end(state skalds.State, rep skalds.Report, rec *skalds.Attempt) {
	r.finished = true
	if state != "" {
		rep.State = state
	}
	if rep.State != "" || rep.Ack != "" {
		r.report(rep)
	}
	if rec != nil {
		r.keepRecord(*rec)
	}
	if state.Final() {
		if err := r.deps.checkpoints.remove(r.taskID); err != nil {
			r.log.Debug("checkpoint", "err", err)
		}
		r.log.Info("task ended", "state", state)
	}
	if m, ok := r.deps.journal.mark(r.taskID); ok && m.Epoch == r.cmd.Epoch && m.DesiredRevision <= r.cmd.DesiredRevision {
		m.Closed, m.At = true, r.deps.now().UnixMilli()
		r.deps.journal.add(record{Mark: &m})
	}
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.publish()
	r.deps.ended(r, state)
}

// keepRecord sends an exit report, which stays in the journal until a controller has it.
func (r *taskRunner) keepRecord(rec skalds.Attempt) {
	r.deps.reporter.outcome(skalds.Outcome{
		OutcomeKey: skalds.OutcomeKey{TaskID: rec.TaskID, Epoch: rec.Epoch, Attempt: rec.Attempt, Kind: skalds.OutcomeExit},
		Exit:       &rec,
	})
}

// keepForRestart remembers of an edge task what no command will bring back after a restart of the host: its finished stages, and
// what ends for memory have led to.
func (r *taskRunner) keepForRestart() {
	if r.origin != fromFile {
		return
	}
	r.deps.journal.changeEdge(r.taskID, func(e *edgeRecord) bool {
		if e.Epoch != r.cmd.Epoch {
			return false // handed out anew meanwhile, perhaps to begin at the beginning
		}
		e.Stages = maps.Clone(r.stages)
		e.MemoryFailures, e.MemoryLimit = r.restart.MemoryFailures, r.restart.MemoryLimit
		return true
	})
}

// exitLine is an exit in one line.
func exitLine(e skalds.Exit) string {
	if e.Message == "" {
		return string(e.Kind)
	}
	return string(e.Kind) + ": " + e.Message
}
