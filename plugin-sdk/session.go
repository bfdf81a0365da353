package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// session is the one task of a served process: it implements protocol.Worker.
type session struct {
	program    *workerProgram
	log        hclog.Logger
	services   func() (protocol.HostServices, error)
	takeOutput func() // takes the process's output back from go-plugin; at the first call, since nothing tells it sooner

	mu   sync.Mutex // guards task, used and bye
	task attempt
	used bool
	bye  *stopOrder // a stop that came before the task

	begun chan struct{} // closed when task has been set, or never will be
}

func newSession(w *workerProgram, log hclog.Logger, services func() (protocol.HostServices, error), takeOutput func()) *session {
	if takeOutput == nil { // the process's output belongs to somebody else
		takeOutput = func() {}
	}
	return &session{program: w, log: log, services: sync.OnceValues(services), takeOutput: sync.OnceFunc(takeOutput), begun: make(chan struct{})}
}

type stopOrder struct {
	reason string
	grace  time.Duration
}

var _ protocol.Worker = (*session)(nil)

func (s *session) Describe(_ context.Context, req protocol.DescribeRequest) (protocol.Description, error) {
	s.takeOutput()
	go func() { _, _ = s.services() }() // what Run needs is there by then; that says what is wrong with it
	if req.Brief {
		return s.program.identity(), nil
	}
	return s.program.describe()
}

func (s *session) Configure(_ context.Context, goMemLimitBytes int64, goMaxProcs int) error {
	setGoLimits(goMemLimitBytes, goMaxProcs)
	return nil
}

// setGoLimits leaves what is zero.
func setGoLimits(memLimitBytes int64, maxProcs int) {
	if memLimitBytes > 0 {
		debug.SetMemoryLimit(memLimitBytes)
	} else if memLimitBytes < 0 {
		debug.SetMemoryLimit(math.MaxInt64)
	}
	if maxProcs > 0 {
		runtime.GOMAXPROCS(maxProcs)
	}
}

// checkEnv finds what cannot be set, before anything is.
func checkEnv(env map[string]string) error {
	for k, v := range env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return fmt.Errorf("cannot set the environment variable %q", k) // its value may be a secret
		}
	}
	return nil
}

// adapt gives the process what its task asks for. The environment has been checked.
func (s *session) adapt(req protocol.RunRequest) error {
	for k, v := range req.Env {
		if err := os.Setenv(k, v); err != nil {
			return fmt.Errorf("set the environment variable %q: %w", k, err)
		}
	}
	setGoLimits(req.GoMemLimitBytes, req.GoMaxProcs)
	if l := hclog.LevelFromString(req.LogLevel); l != hclog.NoLevel {
		s.log.SetLevel(l)
	}
	return nil
}

// Run runs the one task of this process. The task goes on when the stream breaks: only Stop or the host's death end it.
func (s *session) Run(ctx context.Context, req protocol.RunRequest, emit func(protocol.RunEvent)) error {
	if req.Candidate {
		return &refusal{"this worker cannot start as a candidate beside another instance", protocol.ErrUnsupported}
	}
	class, err := s.program.class(req.ClassName)
	if err == nil {
		err = checkEnv(req.Env)
	}
	if err != nil {
		return &refusal{err.Error(), protocol.ErrRefused}
	}
	s.mu.Lock()
	if s.used {
		s.mu.Unlock()
		return &refusal{"this process has had its one task already", protocol.ErrFenced}
	}
	s.used = true
	begun := sync.OnceFunc(func() { close(s.begun) })
	defer begun()
	s.takeOutput()
	services, err := s.services()
	if err == nil {
		err = s.adapt(req) // before the author's code runs, which makes the worker, too
	}
	if err != nil {
		s.mu.Unlock()
		return err
	}
	out := newOutbox()
	a, err := class.attempt(attemptEnv{req: req, log: s.log.With("task_id", req.TaskID), services: services, out: out})
	if err != nil {
		s.mu.Unlock()
		emit(protocol.RunEvent{Kind: protocol.EventFinished, Finished: failed("New", Permanent(err), false)})
		return nil
	}
	s.task = a
	begun()
	if s.bye != nil {
		a.stop(s.bye.reason, s.bye.grace)
	}
	s.mu.Unlock()
	go runAttempt(context.WithoutCancel(ctx), a, out)
	out.pump(emit)
	return nil
}

// current is the task. A call that is ahead of Run waits for it.
func (s *session) current(ctx context.Context) (attempt, error) {
	select {
	case <-s.begun:
	case <-ctx.Done():
		return nil, errNoTask
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task == nil {
		return nil, errNoTask
	}
	return s.task, nil
}

func (s *session) Update(ctx context.Context, attachments json.RawMessage) error {
	a, err := s.current(ctx)
	if err != nil {
		return err
	}
	return a.update(ctx, attachments)
}

func (s *session) Pause(ctx context.Context) error {
	a, err := s.current(ctx)
	if err != nil {
		return err
	}
	return a.pause(ctx)
}

func (s *session) Resume(ctx context.Context) error {
	a, err := s.current(ctx)
	if err != nil {
		return err
	}
	return a.resume(ctx)
}

func (s *session) Stop(_ context.Context, reason string, grace time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bye = &stopOrder{reason, grace}
	if s.task != nil {
		s.task.stop(reason, grace)
	}
	return nil
}

func (s *session) Checkpoint(ctx context.Context) ([]byte, error) {
	a, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return a.checkpoint(ctx)
}

// Restore belongs to hot swap, which this SDK does not offer yet.
func (s *session) Restore(context.Context, []byte, int64) error { return protocol.ErrUnsupported }

func (s *session) Pressure(ctx context.Context, level protocol.PressureLevel, bytesOver int64) (int64, error) {
	a, err := s.current(ctx)
	if err != nil {
		return 0, err
	}
	return a.pressure(ctx, Pressure{Level: level, Bytes: bytesOver})
}

// stopOnSignal makes SIGTERM a stop; a process without a task ends at once. SIGTERM is also what the kernel sends when the
// host has died: then end is called. host is the parent that the process was born to; one beyond the own pid namespace has
// the number 0 for ever, and its death is told by the liveness pipe alone.
func (s *session) stopOnSignal(host int, end func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM)
	for range ch {
		if os.Getppid() != host {
			end()
		}
		s.mu.Lock()
		idle, stopping := s.task == nil, s.bye != nil
		s.mu.Unlock()
		if idle {
			os.Exit(128 + int(syscall.SIGTERM))
		}
		if !stopping {
			_ = s.Stop(context.Background(), "signal", 10*time.Second) // cannot fail
		}
	}
}
