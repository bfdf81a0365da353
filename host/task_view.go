package host

import (
	"github.com/skalds-go/skalds"
)

// report queues a change of the task's state, filled up with what the runner knows.
func (r *taskRunner) report(rep skalds.Report) {
	rep.TaskID, rep.Epoch, rep.DesiredRevision = r.taskID, r.cmd.Epoch, r.cmd.DesiredRevision
	rep.Attempt, rep.BudgetUsed, rep.RowFailures = r.number, r.restart.BudgetUsed, r.restart.Row
	rep.MemoryFailures, rep.MemoryLimit = r.restart.MemoryFailures, r.restart.MemoryLimit
	rep.Progress = r.progress // the process is dead when its end is told
	if a := r.attempt; a != nil {
		p, _, trouble := a.live()
		rep.Progress = p
		if rep.Error == "" {
			rep.Error = trouble
		}
		if r.resolved {
			rep.WorkerVersion = a.plugin.Info.Ref()
		}
		if r.live {
			rep.PID, rep.StartedAt = a.instance.PID(), a.instance.StartedAt().UnixMilli()
		}
	}
	if rep.Ack == skalds.AckApplied {
		r.applied = r.cmd.DesiredRevision
	}
	if rep.State != "" {
		r.state = rep.State
	}
	r.deps.reporter.state(rep)
	r.deps.changed()
}

// publish makes the runner's state visible to others.
func (r *taskRunner) publish() {
	v := view{
		epoch: r.cmd.Epoch, revision: r.cmd.DesiredRevision, attempt: r.attempt, live: r.live, desired: r.cmd.Desired,
		applied: r.applied == r.cmd.DesiredRevision,
		status: skalds.InstanceStatus{
			TaskID: r.taskID, Epoch: r.cmd.Epoch, Attempt: r.number, State: r.state, Phase: r.phase(), Error: r.waiting,
		},
	}
	if s := r.cmd.Spec; s != nil {
		v.status.ClassName, v.mode, v.onDisconnect = s.ClassName, s.Mode, s.OnDisconnect
		var class *skalds.ClassInfo
		if r.resolved {
			class = r.attempt.class
			v.status.Worker = r.attempt.plugin.Info.Ref()
		}
		v.reserved = reserves(s, class)
		v.reserved.MemoryBytes = max(v.reserved.MemoryBytes, r.restart.MemoryLimit)
	}
	r.mu.Lock()
	r.view = v
	r.mu.Unlock()
}

func (r *taskRunner) phase() skalds.Phase {
	switch {
	case r.stopping != nil:
		return skalds.PhaseStopping
	case r.attempt != nil && !r.inMain:
		return skalds.PhaseStarting
	case r.attempt == nil && r.cmd.Desired == skalds.DesiredRunning && !r.backoff.IsZero():
		return skalds.PhaseBackoff
	}
	return skalds.PhaseNone
}

// seen is the runner as others see it now.
func (r *taskRunner) seen() view {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view
}

// instance is the runner as heartbeats show it, with what its process uses at the moment.
func (v view) instance() skalds.InstanceStatus {
	s := v.status
	if v.attempt == nil {
		return s
	}
	p, _, trouble := v.attempt.live()
	s.Progress = p
	if trouble != "" {
		s.Error = trouble
	}
	if v.live {
		inst := v.attempt.instance
		s.PID, s.StartedAt = inst.PID(), inst.StartedAt().UnixMilli()
		s.Usage, s.Peak = inst.Usage(), inst.Peak()
	}
	return s
}

// stopsWithoutLease reports whether another node may run the task once this one has lost its lease.
func (r *taskRunner) stopsWithoutLease() bool {
	return r.origin == fromController && r.seen().onDisconnect != skalds.OnDisconnectKeep
}

// isClosed reports whether the runner has come to its end.
func (r *taskRunner) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}
