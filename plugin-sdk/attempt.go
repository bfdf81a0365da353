package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// attemptEnv is what an attempt gets from its surroundings: a host, the command line or a test.
type attemptEnv struct {
	req      protocol.RunRequest
	log      hclog.Logger
	services protocol.HostServices
	out      *outbox
}

// attempt is one run of a task, without its type parameter.
type attempt interface {
	run(ctx context.Context) protocol.Finished
	update(ctx context.Context, attachments json.RawMessage) error
	pause(ctx context.Context) error
	resume(ctx context.Context) error
	stop(reason string, grace time.Duration)
	checkpoint(ctx context.Context) ([]byte, error)
	pressure(ctx context.Context, p Pressure) (int64, error)
}

// taskAttempt runs the hooks of one worker for one task.
type taskAttempt[A any] struct {
	env        attemptEnv
	worker     Worker[A]
	defaults   A
	concurrent bool
	task       *Task[A]
	mail       *mailbox
	decoded    chan struct{} // closed when the first attachments are in place
	hooks      sync.Mutex    // held by a concurrent hook: they run beside Main, but one at a time
	paused     bool          // by the hook; belongs to whoever runs hooks

	mu      sync.Mutex // guards cancel, stopped and grace
	cancel  context.CancelCauseFunc
	stopped bool
	grace   time.Duration
}

func newTaskAttempt[A any](env attemptEnv, w Worker[A], defaults A, concurrent bool) *taskAttempt[A] {
	stages := make(map[string]json.RawMessage, len(env.req.Stages))
	for k, v := range env.req.Stages {
		stages[k] = v
	}
	mail := newMailbox()
	return &taskAttempt[A]{
		env: env, worker: w, defaults: defaults, concurrent: concurrent, mail: mail, decoded: make(chan struct{}),
		task: &Task[A]{req: env.req, log: env.log, services: env.services, out: env.out, mail: mail, stages: stages},
	}
}

// run is the life of the attempt, on the task's goroutine.
func (a *taskAttempt[A]) run(parent context.Context) protocol.Finished {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	a.mu.Lock()
	a.cancel = cancel
	if a.stopped {
		cancel(ErrStopped)
	}
	a.mu.Unlock()
	defer a.mail.close()

	v, err := a.decode(ctx, a.env.req.Attachments)
	if err != nil {
		return failed("attachments", Permanent(err), false)
	}
	a.task.attachments.Store(&v)
	close(a.decoded)

	hook, err := a.work(ctx)
	stopped := a.wasStopped()
	if err != nil && !stopped {
		if h, ok := a.worker.(OnErrorer[A]); ok {
			if perr := guard(func() error { h.OnError(ctx, a.task, err); return nil }); perr != nil {
				a.env.log.Error("the hook OnError failed itself", "err", perr)
			}
		}
	}
	if h, ok := a.worker.(Releaser[A]); ok {
		rctx, rcancel := a.releaseContext(parent)
		rerr := guard(func() error { return h.Release(rctx, a.task) })
		rcancel()
		if rerr != nil && err == nil {
			hook, err = "Release", rerr
		} else if rerr != nil {
			a.env.log.Error("the hook Release failed", "err", rerr)
		}
	}
	if err == nil && !stopped {
		return protocol.Finished{Kind: protocol.FinishedCompleted}
	}
	return failed(hook, err, stopped)
}

// runAttempt runs an attempt on the calling goroutine and puts its last word into the outbox, whatever it does.
func runAttempt(ctx context.Context, a attempt, out *outbox) {
	last := protocol.Finished{Kind: protocol.FinishedPanic, Hook: "Main", Message: "the task's goroutine ended itself by runtime.Goexit"}
	defer func() { out.put(protocol.RunEvent{Kind: protocol.EventFinished, Finished: last}) }()
	last = a.run(ctx)
}

// work runs Restore, Before, Main and After and says which of them failed.
func (a *taskAttempt[A]) work(ctx context.Context) (hook string, err error) {
	t := a.task
	if h, ok := a.worker.(Checkpointer[A]); ok && len(a.env.req.Checkpoint) > 0 {
		if err := guard(func() error { return h.Restore(ctx, t, a.env.req.Checkpoint) }); err != nil {
			return "Restore", err
		}
	}
	if h, ok := a.worker.(Beforer[A]); ok {
		if err := guard(func() error { return h.Before(ctx, t) }); err != nil {
			return "Before", err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return "Main", err
	}
	a.env.out.put(protocol.RunEvent{Kind: protocol.EventStarted})
	if err := guard(func() error { return a.worker.Main(ctx, t) }); err != nil {
		return "Main", err
	}
	if h, ok := a.worker.(Afterer[A]); ok && ctx.Err() == nil {
		if err := guard(func() error { return h.After(ctx, t) }); err != nil {
			return "After", err
		}
	}
	return "", nil
}

// releaseContext outlives the task's, but not the stop's grace.
func (a *taskAttempt[A]) releaseContext(parent context.Context) (context.Context, context.CancelFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	grace := a.grace
	if grace <= 0 {
		grace = 10 * time.Second
	}
	return context.WithTimeout(context.WithoutCancel(parent), grace)
}

func (a *taskAttempt[A]) wasStopped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stopped
}

// update decodes, exchanges, and asks the worker; a refusal puts the old value back.
func (a *taskAttempt[A]) update(ctx context.Context, attachments json.RawMessage) error {
	next, err := a.decode(ctx, attachments)
	if err != nil {
		return fmt.Errorf("%w: %w", protocol.ErrRefused, err)
	}
	select {
	case <-a.decoded: // a hurried update waits for the task's start
	case <-a.mail.done:
		return errNoTask
	case <-ctx.Done():
		return ctx.Err()
	}
	h, ok := a.worker.(Updater[A])
	if !ok {
		if a.mail.closed() {
			return errNoTask
		}
		a.task.attachments.Store(&next)
		return nil
	}
	return a.atSafePoint(ctx, func() error {
		old := a.task.attachments.Swap(&next)
		if err := guard(func() error { return h.Update(ctx, a.task, *old) }); err != nil {
			a.task.attachments.Store(old)
			return fmt.Errorf("%w: %w", protocol.ErrRefused, err)
		}
		return nil
	})
}

func (a *taskAttempt[A]) pause(ctx context.Context) error {
	h, ok := a.worker.(Pauser[A])
	if !ok {
		return protocol.ErrUnsupported
	}
	return a.atSafePoint(ctx, func() error {
		if err := guard(func() error { return h.Pause(ctx, a.task) }); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil { // the host waits no more and has frozen us instead: what it resumes shall run
			err = fmt.Errorf("the hook Pause came back too late: %w", err)
			return errors.Join(err, guard(func() error { return h.Resume(context.WithoutCancel(ctx), a.task) }))
		}
		a.paused = true
		if !a.concurrent {
			a.task.hold()
		}
		return nil
	})
}

func (a *taskAttempt[A]) resume(ctx context.Context) error {
	h, ok := a.worker.(Pauser[A])
	if !ok {
		return protocol.ErrUnsupported
	}
	return a.atSafePoint(ctx, func() error {
		if !a.paused {
			return nil // a host that does not know how its pause has ended asks all the same
		}
		if err := guard(func() error { return h.Resume(ctx, a.task) }); err != nil {
			return err
		}
		a.paused = false
		a.task.release()
		return nil
	})
}

func (a *taskAttempt[A]) checkpoint(ctx context.Context) (state []byte, err error) {
	h, ok := a.worker.(Checkpointer[A])
	if !ok {
		return nil, protocol.ErrUnsupported
	}
	err = a.atSafePoint(ctx, func() error {
		return guard(func() (err error) { state, err = h.Checkpoint(ctx, a.task); return err })
	})
	if len(state) > protocol.MaxCheckpoint {
		return nil, tooLarge("checkpoint", len(state), protocol.MaxCheckpoint)
	}
	return state, err
}

func (a *taskAttempt[A]) pressure(ctx context.Context, p Pressure) (freed int64, err error) {
	h, ok := a.worker.(PressureReliever[A])
	if !ok {
		return 0, protocol.ErrUnsupported
	}
	err = guard(func() (err error) { freed, err = h.OnPressure(ctx, a.task, p); return err })
	if freed > 0 {
		debug.FreeOSMemory() // what a hook lets go of is the system's only after a collection, which may be far away
	}
	return freed, err
}

func (a *taskAttempt[A]) stop(_ string, grace time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped, a.grace = true, grace
	if a.cancel != nil {
		a.cancel(ErrStopped)
	}
}

func (a *taskAttempt[A]) atSafePoint(ctx context.Context, fn func() error) error {
	if a.concurrent {
		a.hooks.Lock()
		defer a.hooks.Unlock()
		if a.mail.closed() {
			return errNoTask
		}
		return fn()
	}
	return a.mail.do(ctx, fn)
}

// decode fills the defaults with the attachments, strictly, and resolves secrets.
func (a *taskAttempt[A]) decode(ctx context.Context, raw json.RawMessage) (A, error) {
	var v A
	err := guard(func() (err error) { // the author's UnmarshalJSON may panic
		v, err = decodeAttachments(ctx, raw, a.defaults, a.env.services.Secret)
		return err
	})
	return v, err
}

// guard turns a panic into a PanicError.
func guard(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: string(debug.Stack())}
		}
	}()
	return fn()
}

// failed is the last word about an error.
func failed(hook string, err error, stopped bool) protocol.Finished {
	f := protocol.Finished{Kind: protocol.FinishedError, Hook: hook, Permanent: IsPermanent(err)}
	if err != nil {
		f.Message = err.Error()
	}
	var p *PanicError
	switch {
	case errors.As(err, &p):
		f.Kind, f.Stack = protocol.FinishedPanic, p.Stack
	case stopped:
		f.Kind = protocol.FinishedStopped
	}
	return f
}
