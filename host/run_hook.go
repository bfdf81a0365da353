package host

import (
	"context"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins"
)

// Bounds of the end of a run.
const (
	lastWords = time.Second     // how long the stream may outlive the process
	lostGrace = 2 * time.Second // how long a process may live whose stream broke
)

// runHook runs the task in the process and returns when both have ended.
type runHook struct{}

func (runHook) before(ctx context.Context, a *attempt) error {
	inst := a.instance
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends with the process, not with a wish: see Stop
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- inst.Worker().Run(runCtx, protocol.RunRequest{
			TaskID: a.task.ID, Name: a.task.Name, ClassName: a.task.ClassName, Epoch: a.epoch.Load(), Attempt: a.number,
			Attachments: a.filled, Stages: a.stages, Checkpoint: a.checkpoint, DataDir: a.dataDir,
			GoMemLimitBytes: plugins.GoMemLimit(a.limits), GoMaxProcs: plugins.GoMaxProcs(a.limits), LogLevel: logLevelFor(a.log),
			Labels: a.task.Labels, IsPersistent: a.task.IsPersistent, Dependencies: a.task.Dependencies,
		}, a.onEvent)
	}()
	select {
	case a.runErr = <-ended:
	case <-inst.Done():
		t := time.AfterFunc(lastWords, cancel)
		a.runErr = <-ended
		t.Stop()
	}
	if a.finished != nil {
		inst.Leave()
		<-inst.Done()
		return nil
	}
	t := time.NewTimer(lostGrace)
	defer t.Stop()
	select {
	case <-inst.Done():
	case <-t.C:
		msg := "the process lives, but its connection is lost"
		if a.runErr != nil {
			msg += ": " + a.runErr.Error()
		}
		inst.Kill(skalds.ExitRPCLost, msg)
		<-inst.Done()
	}
	return nil
}

func (runHook) after(*attempt) {}
