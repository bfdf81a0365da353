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
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// Serve is a worker's whole main. Started by a Skalds host it serves one task; started by a person it is a command line
// (run, describe, version). version is a semantic version. It does not return.
func Serve(name, version string, classes ...ClassDef) {
	w := &workerProgram{name: name, version: version, classes: classes}
	if os.Getenv(protocol.EnvCookieKey) == protocol.EnvCookieValue && len(os.Args) < 2 {
		w.serve()
		os.Exit(0)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	os.Exit(w.commandLine(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// workerProgram is the executable: its name, version and classes.
type workerProgram struct {
	name, version string
	classes       []ClassDef
}

func (w *workerProgram) class(name string) (*ClassDef, error) {
	names := make([]string, 0, len(w.classes))
	for i := range w.classes {
		if w.classes[i].name == name {
			return &w.classes[i], nil
		}
		names = append(names, w.classes[i].name)
	}
	return nil, fmt.Errorf("worker %s offers no class %q, it offers %s", w.name, name, strings.Join(names, ", "))
}

func (w *workerProgram) describe() (protocol.Description, error) {
	d := protocol.Description{Name: w.name, Version: w.version, SDK: "go/" + Version}
	for i := range w.classes {
		c, err := w.classes[i].describe()
		if err != nil {
			return d, err
		}
		d.Classes = append(d.Classes, c)
	}
	return d, nil
}

// serve speaks with a host until it ends the process.
func (w *workerProgram) serve() {
	stderr := os.Stderr
	redirectStdout(stderr)
	watchLiveness()
	log := hclog.New(&hclog.LoggerOptions{Name: w.name, Level: logLevel(), Output: stderr, JSONFormat: true})
	token, err := readToken()
	if err != nil {
		log.Error("cannot serve", "err", err)
		os.Exit(1)
	}
	s := &session{program: w, log: log, stderr: stderr, token: token}
	go s.stopOnSignal()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: protocol.Handshake(),
		Plugins:         protocol.Plugins(s, token),
		Logger:          hclog.NewNullLogger(),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts,
				grpc.MaxRecvMsgSize(protocol.MaxMessageBytes), grpc.MaxSendMsgSize(protocol.MaxMessageBytes),
				grpc.ReadBufferSize(16<<10), grpc.WriteBufferSize(16<<10))...)
		},
	})
}

func readToken() (string, error) {
	path := os.Getenv(protocol.EnvTokenFile)
	if path == "" {
		return "", fmt.Errorf("%s is not set: this process was not started by a Skalds host", protocol.EnvTokenFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func logLevel() hclog.Level {
	if l := hclog.LevelFromString(os.Getenv("SKALDS_LOG_LEVEL")); l != hclog.NoLevel {
		return l
	}
	return hclog.Info
}

// session is the one task of a served process: it implements protocol.Worker.
type session struct {
	program *workerProgram
	log     hclog.Logger
	stderr  *os.File
	token   string

	mu   sync.Mutex // guards task, used and bye
	task attempt
	used bool
	bye  *stopOrder // a stop that came before the task
}

type stopOrder struct {
	reason string
	grace  time.Duration
}

var _ protocol.Worker = (*session)(nil)

func (s *session) Describe(context.Context) (protocol.Description, error) { return s.program.describe() }

func (s *session) Configure(_ context.Context, goMemLimitBytes int64, goMaxProcs int) error {
	if goMemLimitBytes > 0 {
		debug.SetMemoryLimit(goMemLimitBytes)
	} else if goMemLimitBytes < 0 {
		debug.SetMemoryLimit(math.MaxInt64)
	}
	if goMaxProcs > 0 {
		runtime.GOMAXPROCS(goMaxProcs)
	}
	return nil
}

// Run runs the one task of this process. The task goes on when the stream breaks: only Stop or the host's death end it.
func (s *session) Run(_ context.Context, req protocol.RunRequest, emit func(protocol.RunEvent)) error {
	// go-plugin has replaced both by pipes of its own; what the task prints shall reach the host whatever happens to RPC.
	os.Stdout, os.Stderr = s.stderr, s.stderr
	class, err := s.program.class(req.ClassName)
	if err != nil {
		return fmt.Errorf("%w: %w", protocol.ErrFenced, err)
	}
	s.mu.Lock()
	if s.used {
		s.mu.Unlock()
		return fmt.Errorf("%w: this process has run its one task already", protocol.ErrFenced)
	}
	s.used = true
	services, err := hostServicesFromEnv(s.token)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	out := newOutbox()
	a, err := class.newAttempt(attemptEnv{req: req, log: s.log.With("task_id", req.TaskID), services: services, out: out})
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.task = a
	if s.bye != nil {
		a.stop(s.bye.reason, s.bye.grace)
	}
	s.mu.Unlock()
	go func() {
		out.put(protocol.RunEvent{Kind: protocol.EventFinished, Finished: a.run(context.Background())})
	}()
	out.pump(emit)
	return nil
}

func (s *session) current() (attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task == nil {
		return nil, errNoTask
	}
	return s.task, nil
}

func (s *session) Update(ctx context.Context, attachments json.RawMessage) error {
	a, err := s.current()
	if err != nil {
		return err
	}
	return a.update(ctx, attachments)
}

func (s *session) Pause(ctx context.Context) error {
	a, err := s.current()
	if err != nil {
		return err
	}
	return a.pause(ctx)
}

func (s *session) Resume(ctx context.Context) error {
	a, err := s.current()
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
	a, err := s.current()
	if err != nil {
		return nil, err
	}
	return a.checkpoint(ctx)
}

// Restore belongs to hot swap, which this SDK does not offer yet.
func (s *session) Restore(context.Context, []byte, int64) error { return protocol.ErrUnsupported }

func (s *session) Pressure(ctx context.Context, _ protocol.PressureLevel, bytesOver int64) (int64, error) {
	a, err := s.current()
	if err != nil {
		return 0, err
	}
	return a.pressure(ctx, bytesOver)
}

// stopOnSignal makes SIGTERM a stop; a process without a task ends at once.
func (s *session) stopOnSignal() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM)
	<-ch
	if _, err := s.current(); err != nil {
		os.Exit(128 + int(syscall.SIGTERM))
	}
	_ = s.Stop(context.Background(), "signal", 10*time.Second) // cannot fail
}
