package host

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

// exitTerminated is the exit code of a host that was told to end before its task had: 128 + SIGTERM, as shells say it.
const exitTerminated = 128 + int(syscall.SIGTERM)

// exitWorkersFile is the exit code where the workers file names no task that could be run: no task had a fate.
const exitWorkersFile = 2

// RunSingle runs the first entry of the workers file to its end and returns the exit code that tells its fate: 0
// finished, the worker's own code where it ended with one, 128 plus the signal that killed it, 1 otherwise; and 2, with an
// error, where the file cannot be used. When ctx ends first, the worker is stopped within the grace and the code is that of
// SIGTERM, also where its Main returns nil then: the SDK cannot tell work that is done from work that was cut short. Only a
// worker that says itself that it has completed has.
//
// A task that says nothing about retries gets skalds.DefaultMaxAttempts attempts. No controller takes part.
func RunSingle(ctx context.Context, cfg Config, d Deps, log hclog.Logger) (exitCode int, err error) {
	cfg.Node, cfg.Edge = false, false
	d.Bus, d.Beats = nil, nil
	h, err := New(cfg, d, log)
	if err != nil {
		return 1, err
	}
	entry, spec, err := firstEntry(cfg)
	if err != nil {
		return exitWorkersFile, errors.Join(err, endLauncher(ctx, d.Launcher))
	}
	s, err := h.open()
	if err != nil {
		return 1, errors.Join(err, endLauncher(ctx, d.Launcher))
	}
	fate := &fate{done: make(chan struct{})}
	s.roster.deps.ended = fate.ended
	s.roster.deps.entry = func(string) (conf.WorkerEntry, bool) { return entry, true }
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.onReady = func() {
		s.roster.assign(skalds.Command{TaskID: spec.ID, Epoch: s.nextSingleEpoch(spec.ID), Desired: skalds.DesiredRunning, Spec: &spec}, fromCommand)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run(runCtx) }()
	select {
	case <-fate.done:
		cancel(errors.New("the task has ended"))
		err = <-ended
	case err = <-ended:
	}
	err = errors.Join(err, s.journal.Close(), s.id.Close())
	return fate.exitCode(), err
}

// firstEntry is the task that a single_process host runs.
func firstEntry(cfg Config) (conf.WorkerEntry, skalds.Spec, error) {
	if cfg.WorkersFile == "" {
		return conf.WorkerEntry{}, skalds.Spec{}, skalds.Errorf(skalds.CodeInvalid, "a single_process host needs a workers file: name one with --workers (YAML_FILE)")
	}
	file, err := conf.LoadWorkers(cfg.WorkersFile)
	if err != nil {
		return conf.WorkerEntry{}, skalds.Spec{}, fmt.Errorf("the workers file (--workers) cannot be used: %w", err)
	}
	if len(file.Entries) == 0 {
		return conf.WorkerEntry{}, skalds.Spec{}, skalds.Errorf(skalds.CodeInvalid, "%s names no task under TaskWorkers", cfg.WorkersFile)
	}
	if file.Entries[0].Err != nil {
		return conf.WorkerEntry{}, skalds.Spec{}, fmt.Errorf("the first entry of the workers file cannot be run: %w", file.Entries[0].Err)
	}
	entry := file.Entries[0]
	spec := entry.Spec
	spec.Mode = skalds.ModePassiveProcess
	spec.Retry = skalds.RetryFor(spec.Retry, false, cfg.WorkerRetry) // YAML's default of isPersistent means nothing here
	return entry, spec, nil
}

// nextSingleEpoch numbers the runs of a task in this data folder.
func (s *session) nextSingleEpoch(taskID string) int64 {
	var epoch int64
	s.journal.changeEdge(taskID, func(rec *edgeRecord) bool {
		rec.State = skalds.Running
		rec.Epoch++
		epoch = rec.Epoch
		return true
	})
	return epoch
}

// fate is how the one task ended.
type fate struct {
	done  chan struct{}
	state skalds.State
	exit  *skalds.Exit
}

// ended is called once, on the runner's goroutine.
func (f *fate) ended(t *taskRunner, state skalds.State) {
	f.state, f.exit = state, t.lastExit
	close(f.done)
}

// exitCode is valid when the host has ended.
func (f *fate) exitCode() int {
	select {
	case <-f.done:
	default:
		return 1 // the host could not even start it
	}
	switch {
	case f.state == skalds.Finished:
		return 0
	case f.state == "" || f.exit == nil:
		return exitTerminated
	case f.exit.Kind == skalds.ExitExit && f.exit.Code > 0:
		return f.exit.Code
	case f.exit.Kind == skalds.ExitSignal && f.exit.Signal != "":
		return 128 + signalNumber(f.exit.Signal)
	}
	return 1
}

// signalNumber turns the name of a signal back into its number; -127 makes 1 of an unknown one.
func signalNumber(name string) int {
	for n := syscall.Signal(1); n < 65; n++ {
		if n.String() == name {
			return int(n)
		}
	}
	return -127
}
