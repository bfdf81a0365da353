package sdktest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/schema/validator"
)

// Options refine Run. The zero value is right for most tests.
type Options struct {
	TaskID     string                     // default "test"
	Name       string                     // default the id
	Epoch      int64                      // default 1
	Attempt    int                        // default 1
	Labels     map[string]string          // default none
	Persistent bool                       // whether the task is meant to run for ever
	DataDir    string                     // default a folder of the test's
	Stages     map[string]json.RawMessage // stages that a former attempt finished, see Task.Stages
	Checkpoint []byte                     // state to start from
	Host       *Host                      // default an empty one
	Timeout    time.Duration              // bound of every wait, default 30 s
	Deadline   time.Duration              // of Update, Pause, Resume, Checkpoint and Pressure, default Timeout
	NoSchema   bool                       // do not check the attachments against the class's schema, as hosts do
}

// Task is a task that runs in a test. Its methods fail the test where they cannot do what they are asked.
type Task struct {
	t      testing.TB
	client *protocol.Client
	class  protocol.Class
	host   *Host
	schema bool

	timeout  time.Duration
	deadline time.Duration

	mu      sync.Mutex // guards what follows
	events  []protocol.RunEvent
	changed chan struct{} // closed and replaced with every event
	runErr  error
	done    chan struct{}
	log     strings.Builder
}

// Run starts a task of the class and returns at once. attachments is the class's struct, any other value that JSON can
// hold, or a json.RawMessage. At the end of the test the task is stopped, if it still runs.
func Run(t testing.TB, class sdk.ClassDef, attachments any, options ...Options) *Task {
	t.Helper()
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	if o.TaskID == "" {
		o.TaskID = "test"
	}
	if o.DataDir == "" {
		o.DataDir = t.TempDir()
	}
	if o.Host == nil {
		o.Host = NewHost(nil)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Deadline <= 0 {
		o.Deadline = o.Timeout
	}
	k := &Task{
		t: t, host: o.Host, timeout: o.Timeout, deadline: o.Deadline, schema: !o.NoSchema,
		changed: make(chan struct{}), done: make(chan struct{}),
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: logWriter{k}, DisableTime: true})
	k.client = connect(t, o.Host, func(s protocol.HostServices) (protocol.Worker, error) {
		return sdk.NewWorker("sdktest", sdk.Version, log, s, class)
	})
	d, err := k.client.Describe(t.Context(), protocol.DescribeRequest{})
	if err != nil {
		t.Fatalf("sdktest: %v", err)
	}
	k.class = d.Classes[0]
	raw := k.encode(attachments)
	if err := k.check(raw); err != nil {
		t.Fatalf("sdktest: %v", err)
	}
	req := protocol.RunRequest{
		TaskID: o.TaskID, Name: o.Name, ClassName: k.class.ClassName, Epoch: max(o.Epoch, 1), Attempt: max(o.Attempt, 1),
		Attachments: raw, Stages: o.Stages, Checkpoint: o.Checkpoint, DataDir: o.DataDir, Labels: o.Labels, IsPersistent: o.Persistent,
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go k.run(ctx, req)
	t.Cleanup(func() {
		defer cancel()
		if k.ended() {
			return
		}
		_ = k.client.Stop(ctx, "the test is over", o.Timeout)
		select {
		case <-k.done:
		case <-time.After(o.Timeout):
			t.Errorf("sdktest: the task did not stop within %s: Main must return when its context ends", o.Timeout)
		}
	})
	return k
}

func (k *Task) run(ctx context.Context, req protocol.RunRequest) {
	err := k.client.Run(ctx, req, func(e protocol.RunEvent) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.events = append(k.events, e)
		close(k.changed)
		k.changed = make(chan struct{})
	})
	k.mu.Lock()
	k.runErr = err
	k.mu.Unlock()
	close(k.done)
}

func (k *Task) ended() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

func (k *Task) encode(v any) json.RawMessage {
	k.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		k.t.Fatalf("sdktest: encode attachments: %v", err)
	}
	return raw
}

// check does what a host does before a worker sees attachments.
func (k *Task) check(raw json.RawMessage) error {
	if !k.schema {
		return nil
	}
	s, err := validator.Compile(k.class.Schema)
	if err != nil {
		return err
	}
	if faults := s.Validate(raw); len(faults) > 0 {
		return fmt.Errorf("%w: attachments.%w", protocol.ErrRefused, faults[0])
	}
	return nil
}

// Class is what the worker says about its class in Describe.
func (k *Task) Class() protocol.Class { return k.class }

// Host is what the task talks to.
func (k *Task) Host() *Host { return k.host }

// Wait waits for the end and returns the task's last word.
func (k *Task) Wait() protocol.Finished {
	k.t.Helper()
	select {
	case <-k.done:
	case <-time.After(k.timeout):
		k.t.Fatalf("sdktest: the task has not ended within %s; its log:\n%s", k.timeout, k.Log())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.runErr != nil {
		k.t.Fatalf("sdktest: %v", k.runErr)
	}
	return k.events[len(k.events)-1].Finished
}

// WaitFor waits for an event, past ones included, for which match is true. what names it in the test's failure.
func (k *Task) WaitFor(what string, match func(protocol.RunEvent) bool) protocol.RunEvent {
	k.t.Helper()
	deadline := time.NewTimer(k.timeout)
	defer deadline.Stop()
	for from := 0; ; {
		k.mu.Lock()
		events, changed := k.events, k.changed
		k.mu.Unlock()
		for ; from < len(events); from++ {
			if match(events[from]) {
				return events[from]
			}
		}
		if n := len(events); n > 0 && events[n-1].Kind == protocol.EventFinished {
			k.t.Fatalf("sdktest: the task ended without %s: %+v", what, events[n-1].Finished)
		}
		select {
		case <-changed:
		case <-k.done:
			if k.mu.Lock(); len(k.events) == from {
				err := k.runErr
				k.mu.Unlock()
				k.t.Fatalf("sdktest: the task's stream broke before %s: %v", what, err)
			}
			k.mu.Unlock()
		case <-deadline.C:
			k.t.Fatalf("sdktest: no %s within %s; the task's log:\n%s", what, k.timeout, k.Log())
		}
	}
}

// WaitStarted waits until Main has been entered.
func (k *Task) WaitStarted() {
	k.t.Helper()
	k.WaitFor("start of Main", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventStarted })
}

// WaitUnits waits until the task has counted at least n units of any kind.
func (k *Task) WaitUnits(n int64) {
	k.t.Helper()
	k.WaitFor(fmt.Sprintf("%d units", n), func(e protocol.RunEvent) bool {
		return e.Kind == protocol.EventProgress && e.Progress.Units >= n
	})
}

// Update changes the attachments as a host does. A refusal is an error that wraps protocol.ErrRefused.
func (k *Task) Update(attachments any) error {
	k.t.Helper()
	raw := k.encode(attachments)
	if err := k.check(raw); err != nil {
		return err
	}
	return k.call(func(ctx context.Context) error { return k.client.Update(ctx, raw) })
}

// Pause asks a class with the hook to pause; others are frozen by their host, and answer protocol.ErrUnsupported here.
func (k *Task) Pause() error { return k.call(k.client.Pause) }

// Resume ends a pause.
func (k *Task) Resume() error { return k.call(k.client.Resume) }

// Stop stops the task and waits for its end.
func (k *Task) Stop() protocol.Finished {
	k.t.Helper()
	if err := k.call(func(ctx context.Context) error { return k.client.Stop(ctx, "cancelled", k.timeout) }); err != nil && !k.ended() {
		k.t.Fatalf("sdktest: %v", err)
	}
	return k.Wait()
}

// Checkpoint asks for the task's state.
func (k *Task) Checkpoint() (state []byte, err error) {
	err = k.call(func(ctx context.Context) (err error) { state, err = k.client.Checkpoint(ctx); return err })
	return state, err
}

// Pressure tells the task that memory is short, and returns how much it says that it freed.
func (k *Task) Pressure(p sdk.Pressure) (freed int64, err error) {
	err = k.call(func(ctx context.Context) (err error) {
		freed, err = k.client.Pressure(ctx, p.Level, p.Bytes)
		return err
	})
	return freed, err
}

func (k *Task) call(fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.t.Context()), k.deadline)
	defer cancel()
	return fn(ctx)
}

// Events lists what the task has said so far.
func (k *Task) Events() []protocol.RunEvent {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]protocol.RunEvent(nil), k.events...)
}

// Progress is the last progress.
func (k *Task) Progress() (p protocol.Progress) {
	for _, e := range k.Events() {
		if e.Kind == protocol.EventProgress {
			p = e.Progress
		}
	}
	return p
}

// Stages are the finished stages with their values, in the form in which a next attempt gets them.
func (k *Task) Stages() map[string]json.RawMessage {
	stages := map[string]json.RawMessage{}
	for _, e := range k.Events() {
		if e.Kind == protocol.EventStageFinished {
			stages[e.Stage] = e.Value
		}
	}
	return stages
}

// Errors are the errors that did not end the task; an empty one means that the one before was over.
func (k *Task) Errors() (errs []string) {
	for _, e := range k.Events() {
		if e.Kind == protocol.EventError {
			errs = append(errs, e.Message)
		}
	}
	return errs
}

// Result decodes the last result.
func (k *Task) Result(into any) {
	k.t.Helper()
	var last json.RawMessage
	for _, e := range k.Events() {
		if e.Kind == protocol.EventResult {
			last = e.Value
		}
	}
	if last == nil {
		k.t.Fatal("sdktest: the task has set no result")
	}
	if err := json.Unmarshal(last, into); err != nil {
		k.t.Fatalf("sdktest: decode result %s: %v", last, err)
	}
}

// Log is what the task has logged so far.
func (k *Task) Log() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.log.String()
}

type logWriter struct{ k *Task }

func (w logWriter) Write(p []byte) (int, error) {
	w.k.mu.Lock()
	defer w.k.mu.Unlock()
	return w.k.log.Write(p)
}
