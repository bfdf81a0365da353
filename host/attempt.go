package host

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins"
)

// attempt is one run of a task in one process. Its hooks run on its own goroutine; what it has to say goes to the runner,
// which owns all decisions. Fields of the first group are set before it starts, those of the second by hooks, in order.
type attempt struct {
	task         skalds.Spec
	number       int
	keep         bool         // lives on when the lease is over
	epoch        atomic.Int64 // an edge host may renumber a running assignment
	stages       map[string]json.RawMessage
	attachments  json.RawMessage // as wanted, secrets not filled in
	raisedMemory int64           // what ends for memory have raised the limit to; 0: not raised
	deps         *runnerDeps
	log          hclog.Logger
	taskLog      *taskLog
	tell         func(any)

	plugin      *plugins.Plugin
	class       *skalds.ClassInfo
	filled      json.RawMessage // attachments with secrets
	limits      skalds.Limits
	firstMemory int64 // the memory limit before any growth
	dataDir     string
	checkpoint  []byte
	services    *hostServices
	instance    *plugins.Instance
	finished    *protocol.Finished
	runErr      error

	launchedAt time.Time
	err        error // of the hook that failed

	mu       sync.Mutex // guards what heartbeats and the runner ask for while the attempt runs
	launched *plugins.Instance
	progress skalds.Progress
	lastUnit time.Time
	promised string // the unit that is the proof of life; empty: any progress
	counted  int64  // units of that name
	trouble  string // the last error that did not end the task
}

// Messages from an attempt to its runner.
type (
	attemptResolved struct{ attempt *attempt }
	attemptLaunched struct{ attempt *attempt }
	attemptStarted  struct{ attempt *attempt }
	attemptTrouble  struct{ attempt *attempt }
	attemptStage    struct {
		attempt *attempt
		name    string
		value   json.RawMessage
	}
	attemptContract struct {
		attempt *attempt
		unit    string
		budget  time.Duration
	}
	attemptEnded struct {
		attempt *attempt
		exit    skalds.Exit
		record  skalds.Attempt
	}
)

// renumber puts the attempt under another epoch.
func (a *attempt) renumber(epoch int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch.Store(epoch)
	if a.launched != nil {
		a.launched.Renumber(epoch)
	}
}

// hasLaunched makes the instance known to those who look from other goroutines.
func (a *attempt) hasLaunched(i *plugins.Instance, under int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.launched = i
	if now := a.epoch.Load(); now != under {
		i.Renumber(now)
	}
}

// run takes the attempt through its hooks and tells how it ended.
func (a *attempt) run(ctx context.Context) {
	hooks := attemptHooks()
	done := 0
	for _, h := range hooks {
		done++
		if a.err = h.before(ctx, a); a.err != nil {
			break
		}
	}
	for done--; done >= 0; done-- {
		hooks[done].after(a)
	}
	exit := cutExit(a.explain(ctx), maxText, maxStack)
	a.tell(attemptEnded{a, exit, a.record(exit)})
}

// explain says why the attempt ended.
func (a *attempt) explain(ctx context.Context) skalds.Exit {
	var refused *refusal
	var launch *plugins.LaunchError
	switch {
	case a.instance != nil:
		return a.instance.Explain(a.finished, a.runErr)
	case errors.As(a.err, &refused):
		return skalds.Exit{Kind: skalds.ExitError, Code: -1, Message: refused.Error(), Permanent: refused.permanent}
	case ctx.Err() != nil:
		return skalds.Exit{Kind: skalds.ExitCancelled, Code: -1, Message: context.Cause(ctx).Error()}
	case errors.As(a.err, &launch):
		return launch.Exit()
	case a.err != nil:
		return skalds.Exit{Kind: skalds.ExitError, Code: -1, Message: a.err.Error()}
	}
	return skalds.Exit{Kind: skalds.ExitError, Code: -1, Message: "the attempt ended before its process was launched"}
}

// record is the exit report.
func (a *attempt) record(exit skalds.Exit) skalds.Attempt {
	r := skalds.Attempt{
		TaskID: a.task.ID, Epoch: a.epoch.Load(), Attempt: a.number, Node: a.deps.nodeID,
		StartedAt: a.launchedAt.UnixMilli(), EndedAt: a.deps.now().UnixMilli(), Exit: &exit,
		LogTail: a.taskLog.recent(attemptLogTail),
	}
	if a.plugin != nil {
		r.Version, r.Digest = a.plugin.Info.Ref(), a.plugin.Info.Digest
	}
	if a.instance != nil {
		r.PID, r.StartedAt = a.instance.PID(), a.instance.StartedAt().UnixMilli()
		r.Peak, r.LastUsage, r.Pressures = a.instance.Peak(), a.instance.Usage(), a.instance.Pressures()
		if r.LogTail == "" {
			r.LogTail = a.instance.StderrTail()
		}
		if exit.Kind == skalds.ExitLimit || exit.Kind == skalds.ExitOOM {
			r.Usage = a.instance.UsageCurve()
		}
	}
	return r
}

// onEvent takes what the worker says. It runs on the goroutine of the Run call, one event after the other; a runner that
// is slow holds the worker back, but progress never waits for it.
func (a *attempt) onEvent(e protocol.RunEvent) {
	switch e.Kind {
	case protocol.EventStarted:
		a.tell(attemptStarted{a})
	case protocol.EventProgress:
		a.onProgress(e.Progress)
	case protocol.EventStageFinished:
		if fault := stageFault(e); fault != "" {
			a.complain("the finished stage " + strconv.Quote(cut(e.Stage, maxName)) + " is not kept and would run again: " + fault)
			return
		}
		a.deps.reporter.outcome(skalds.Outcome{OutcomeKey: a.key(skalds.OutcomeStage, e.Stage), Value: e.Value})
		a.tell(attemptStage{a, e.Stage, e.Value})
	case protocol.EventError:
		a.mu.Lock()
		a.trouble = cut(e.Message, maxText)
		a.mu.Unlock()
		a.tell(attemptTrouble{a})
	case protocol.EventResult:
		if fault := valueFault(e.Value, skalds.MaxResultBytes); fault != "" {
			a.complain("the result was dropped: it " + fault)
			return
		}
		a.deps.reporter.outcome(skalds.Outcome{OutcomeKey: a.key(skalds.OutcomeResult, ""), Value: e.Value})
	case protocol.EventContract:
		unit := cut(e.Unit, maxName)
		a.promise(unit)
		a.tell(attemptContract{a, unit, e.Budget})
	case protocol.EventFinished:
		f := e.Finished
		a.finished = &f
	}
}

func stageFault(e protocol.RunEvent) string {
	if len(e.Stage) > maxName {
		return "its name is longer than " + strconv.Itoa(maxName) + " bytes"
	}
	if fault := valueFault(e.Value, skalds.MaxResultBytes); fault != "" {
		return "its result " + fault
	}
	return ""
}

// complain tells the task's log of something that the worker did wrong.
func (a *attempt) complain(text string) {
	a.taskLog.write(a.deps.now(), hclog.Error, a.number, text)
}

func (a *attempt) onProgress(p protocol.Progress) {
	p.Unit, p.Stage = cut(p.Unit, maxName), cut(p.Stage, maxName)
	now := a.deps.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keepsPromise(p) {
		a.lastUnit = now
	}
	a.progress = skalds.Progress{Percent: p.Percent, Units: p.Units, Unit: p.Unit, Stage: p.Stage, At: now.UnixMilli()}
}

// promise notes which unit is the proof of life.
func (a *attempt) promise(unit string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if unit == a.promised {
		return
	}
	a.promised, a.counted = unit, 0
	if a.progress.Unit == unit {
		a.counted = a.progress.Units
	}
}

// keepsPromise reports whether progress is a new unit of the kind that was promised; where none was named, any progress is.
// The mutex is held.
func (a *attempt) keepsPromise(p protocol.Progress) bool {
	if a.promised == "" {
		return p.Unit != a.progress.Unit || p.Units > a.progress.Units || p.Percent > a.progress.Percent
	}
	if p.Unit != a.promised || p.Units <= a.counted {
		return false
	}
	a.counted = p.Units
	return true
}

func (a *attempt) key(kind skalds.OutcomeKind, name string) skalds.OutcomeKey {
	return skalds.OutcomeKey{TaskID: a.task.ID, Epoch: a.epoch.Load(), Attempt: a.number, Kind: kind, Name: name}
}

// live is what heartbeats show.
func (a *attempt) live() (p skalds.Progress, lastUnit time.Time, trouble string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.progress, a.lastUnit, a.trouble
}
