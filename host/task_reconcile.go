package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// rpcTimeout bounds update, pause and resume.
const rpcTimeout = 10 * time.Second

// operationDone tells the runner how an operation on the instance ended.
type operationDone struct {
	attempt *attempt
	what    string
	err     error
	then    func(err error) // runs on the runner's goroutine
}

// reconcile does the next step from what is towards what is wanted. It never blocks: what takes time runs beside it and
// comes back as a message.
func (r *taskRunner) reconcile() {
	if r.finished || r.busy != "" {
		return
	}
	r.mu.Lock()
	leaving := r.leaving != nil
	r.mu.Unlock()
	switch {
	case r.attempt == nil && leaving:
		r.departed(*r.leavingFor(), nil)
	case r.attempt == nil && r.cmd.Desired == skalds.DesiredPaused:
		if r.state != skalds.Paused || r.applied != r.cmd.DesiredRevision {
			r.report(skalds.Report{State: skalds.Paused, Ack: skalds.AckApplied})
		}
	case r.attempt == nil:
		if r.deps.now().Before(r.backoff) {
			return
		}
		r.startAttempt()
	case r.stopping != nil || !r.inMain:
	case r.cmd.Desired == skalds.DesiredPaused && !r.frozen:
		if !r.unpaused {
			r.pauseAttempt()
		}
	case r.cmd.Desired == skalds.DesiredRunning && r.frozen:
		r.resumeAttempt()
	case !bytes.Equal(r.held, r.attachments()):
		if !r.frozen { // a frozen worker hears nothing: it gets them when it goes on
			r.updateAttempt()
		}
	case r.applied != r.cmd.DesiredRevision:
		r.report(skalds.Report{State: r.state, Ack: skalds.AckApplied})
	}
}

func (r *taskRunner) leavingFor() *departure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaving
}

// startAttempt starts the next attempt on a goroutine of its own.
func (r *taskRunner) startAttempt() {
	r.number++
	r.backoff, r.waiting = time.Time{}, ""
	now := r.deps.now()
	a := &attempt{
		task: *r.cmd.Spec, number: r.number, keep: !r.stopsWithoutLease(), attachments: r.attachments(), deps: r.deps, taskLog: r.taskLog,
		log: r.log.With("attempt", r.number), tell: r.tell, launchedAt: now,
		raisedMemory: r.restart.MemoryLimit,
	}
	a.stages = make(map[string]jsonValue, len(r.stages))
	for name, v := range r.stages {
		a.stages[name] = v
	}
	a.epoch.Store(r.cmd.Epoch)
	attemptCtx, cancel := context.WithCancelCause(r.base)
	r.attempt, r.cancel, r.held = a, cancel, a.attachments
	r.resolved, r.live, r.inMain, r.frozen, r.overdue, r.busy = false, false, false, false, false, ""
	r.deadline = &deadlines{timeouts: r.cmd.Spec.Timeouts}
	r.deps.changed()
	r.wg.Go(func() { a.run(attemptCtx) })
}

// attachments are those to run with: the wanted ones, unless the worker has refused them.
func (r *taskRunner) attachments() json.RawMessage {
	if doc := r.cmd.Spec.Attachments; r.rejected == nil || r.accepted == nil || !bytes.Equal(doc, r.rejected) {
		return doc
	}
	return r.accepted
}

// depart begins the leave-taking from this host.
func (r *taskRunner) depart(d departure) {
	r.mu.Lock()
	if r.leaving == nil || (d.atOnce && !r.leaving.atOnce) {
		r.leaving = &d
	}
	d = *r.leaving
	r.mu.Unlock()
	if r.attempt == nil {
		return
	}
	if r.stopping == nil || (d.atOnce && !r.stopping.atOnce) {
		r.stopAttempt(d)
	}
}

// stopAttempt ends the attempt: by cancelling its start, by the stop ladder, or by killing its tree.
func (r *taskRunner) stopAttempt(d departure) {
	r.stopping = &d
	a := r.attempt
	r.log.Info("stopping the task's process", "reason", d.kind, "message", d.message)
	r.cancel(errors.New(string(d.kind)))
	if !r.live {
		return // the launch is cancelled; attemptLaunched sees stopping, should it have been too late
	}
	if d.atOnce {
		a.instance.Kill(d.kind, d.message)
		return
	}
	grace := r.deps.grace
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(r.base, grace+5*time.Second)
		defer cancel()
		if err := a.instance.Stop(ctx, string(d.kind), grace); err != nil {
			a.log.Warn("stop ladder", "err", err)
		}
	})
}

// operate runs one operation on the instance beside the runner.
func (r *taskRunner) operate(what string, do func(ctx context.Context) error, then func(err error)) {
	a := r.attempt
	r.busy = what
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(r.base, rpcTimeout)
		defer cancel()
		r.tell(operationDone{a, what, do(ctx), then})
	})
}

// pauseAttempt pauses by the worker's own hook where it has one, else, or where that fails, by freezing its tree.
func (r *taskRunner) pauseAttempt() {
	a := r.attempt
	byWorker, unsure := slices.Contains(a.class.Capabilities, protocol.CapabilityPause), false
	r.operate("pause", func(ctx context.Context) error {
		if byWorker {
			err := a.instance.Worker().Pause(ctx)
			if err == nil {
				return nil
			}
			a.log.Warn("the worker did not pause: its processes are frozen instead", "err", err)
			byWorker, unsure = false, ctx.Err() != nil
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rpcTimeout)
			defer cancel()
			return a.instance.Freeze(ctx)
		}
		return a.instance.Freeze(ctx)
	}, func(err error) {
		if err != nil {
			r.unpaused = true
			r.refuse("the task cannot be paused: " + err.Error())
			return
		}
		r.frozen, r.byWorker, r.unsure = true, byWorker, unsure
		r.deadline.pause(r.deps.now())
		r.report(skalds.Report{State: skalds.Paused, Ack: skalds.AckApplied})
	})
}

func (r *taskRunner) resumeAttempt() {
	a, byWorker, unsure := r.attempt, r.byWorker, r.unsure
	r.operate("resume", func(ctx context.Context) error {
		if byWorker {
			return a.instance.Worker().Resume(ctx)
		}
		a.instance.Thaw(ctx)
		if unsure {
			if err := a.instance.Worker().Resume(ctx); err != nil {
				a.log.Debug("the worker did not resume: it may not have paused either", "err", err)
			}
		}
		return nil
	}, func(err error) {
		if err != nil {
			r.log.Error("cannot resume: the process is started anew", "err", err)
			r.stopAttempt(departure{kind: skalds.ExitRPCLost, message: "resume: " + err.Error(), atOnce: true})
			return
		}
		r.frozen = false
		r.deadline.resume(r.deps.now())
		r.report(skalds.Report{State: skalds.Running, Ack: skalds.AckApplied})
	})
}

// updateAttempt hands new attachments to the running worker.
func (r *taskRunner) updateAttempt() {
	a, doc := r.attempt, r.cmd.Spec.Attachments
	filled, refused := r.deps.prepareAttachments(r.taskID, a.class, doc)
	if refused != nil {
		r.rejected = doc
		r.refuse("the new attachments are refused, the old ones hold: " + refused.Error())
		return
	}
	r.operate("update", func(ctx context.Context) error {
		return a.instance.Worker().Update(ctx, filled)
	}, func(err error) {
		switch {
		case err == nil:
			r.held, r.accepted, r.rejected = doc, doc, nil
			a.taskLog.write(r.deps.now(), hclog.Info, a.number, "attachments updated")
			r.report(skalds.Report{State: r.state, Ack: skalds.AckApplied})
		case errors.Is(err, protocol.ErrRefused):
			r.rejected = doc
			r.refuse("the worker refused the new attachments, the old ones hold: " + err.Error())
		default: // a worker that cannot take them while it runs gets them at its next start
			r.log.Info("the worker does not take the update: its process is started anew", "err", err)
			r.stopAttempt(departure{kind: skalds.ExitSuperseded, message: "started anew with new attachments"})
		}
	})
}

// refuse reports that a wish was not fulfilled while the task goes on as it was.
func (r *taskRunner) refuse(why string) {
	r.log.Warn("a change was refused", "reason", why)
	r.attempt.taskLog.write(r.deps.now(), hclog.Warn, r.attempt.number, why)
	r.report(skalds.Report{State: r.state, Ack: skalds.AckApplied, Reason: why, Error: why})
}

// checkDeadlines kills what has broken a bound.
func (r *taskRunner) checkDeadlines() {
	if !r.live || r.stopping != nil || r.overdue || r.finished {
		return
	}
	_, lastUnit, _ := r.attempt.live()
	r.deadline.progressed(lastUnit)
	late := r.deadline.check(r.deps.now())
	if late == nil {
		return
	}
	r.overdue = true
	r.attempt.instance.KillWithStack(late.Kind, late.Message)
}
