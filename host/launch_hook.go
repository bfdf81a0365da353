package host

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
)

// WorkerNice is how much nicer than the host its workers are, so that they do not keep it from its heartbeats. It is
// little: against other programs of the machine they are no worse off.
const WorkerNice = 1

// launchHook starts the process and sees to it that it is gone when the attempt is over.
type launchHook struct{}

func (launchHook) before(ctx context.Context, a *attempt) error {
	timeout := a.task.Timeouts.Start.D()
	if timeout <= 0 {
		timeout = skalds.DefaultStartTimeout
	}
	epoch := a.epoch.Load()
	inst, err := a.deps.launcher.Launch(ctx, plugins.LaunchSpec{
		Plugin: a.plugin, TaskID: a.task.ID, Epoch: epoch, Keep: a.keep, Attempt: a.number,
		Limits: a.limits, Isolation: a.task.Isolation, DataDir: a.dataDir, StartTimeout: timeout, Nice: WorkerNice, Services: a.services,
		Log: func(l plugins.Line) { a.taskLog.worker(a.number, l) },
	})
	if open := (*plugins.IsolationError)(nil); errors.As(err, &open) {
		return &refusal{reason: a.notIsolated(open.Field, open.Error())}
	}
	if lacking := (*plugins.HostError)(nil); errors.As(err, &lacking) {
		reason := lacking.Error()
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			reason += makeRoom
		}
		return &refusal{reason: reason, passing: true}
	}
	if err != nil {
		return fmt.Errorf("launch %s: %w", a.plugin.Info.Ref(), err)
	}
	a.instance = inst
	a.hasLaunched(inst, epoch)
	a.tell(attemptLaunched{a})
	return nil
}

func (launchHook) after(a *attempt) {
	if a.instance == nil {
		return
	}
	select {
	case <-a.instance.Done():
		return
	default:
	}
	a.instance.Kill(skalds.ExitRPCLost, "left over when its attempt ended")
	<-a.instance.Done()
}

// logLevelFor makes a worker's log as detailed as the host's, but never less than usual: the task's log has more readers.
func logLevelFor(log hclog.Logger) string {
	switch l := log.GetLevel(); l {
	case hclog.Trace, hclog.Debug:
		return l.String()
	}
	return ""
}
