package protocol_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// scripted answers as its fields say.
type scripted struct {
	protocol.Worker // nil: what a test does not script must not be called
	describe        protocol.Description
	asked           protocol.DescribeRequest
	run             func(ctx context.Context, req protocol.RunRequest, emit func(protocol.RunEvent)) error
	update          func(json.RawMessage) error
	state           []byte
	seen            []string
}

func (w *scripted) Describe(_ context.Context, req protocol.DescribeRequest) (protocol.Description, error) {
	w.asked = req
	return w.describe, nil
}

func (w *scripted) Run(ctx context.Context, req protocol.RunRequest, emit func(protocol.RunEvent)) error {
	return w.run(ctx, req, emit)
}
func (w *scripted) Update(_ context.Context, a json.RawMessage) error { return w.update(a) }
func (w *scripted) Checkpoint(context.Context) ([]byte, error)        { return w.state, nil }
func (w *scripted) Pause(context.Context) error                       { return w.note("pause") }
func (w *scripted) Resume(context.Context) error                      { return w.note("resume") }
func (w *scripted) Configure(_ context.Context, mem int64, n int) error {
	return w.note("configure", mem, n)
}

func (w *scripted) Stop(_ context.Context, reason string, grace time.Duration) error {
	return w.note("stop", reason, grace)
}

func (w *scripted) Restore(_ context.Context, state []byte, epoch int64) error {
	return w.note("restore", string(state), epoch)
}

func (w *scripted) Pressure(_ context.Context, l protocol.PressureLevel, over int64) (int64, error) {
	return over + 1, w.note("pressure", l, over)
}

func (w *scripted) note(args ...any) error {
	w.seen = append(w.seen, strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
	return nil
}

// dialWorker serves impl on a unix socket and connects with a token of the caller's.
func dialWorker(t *testing.T, impl protocol.Worker, token string) *protocol.Client {
	t.Helper()
	s := grpc.NewServer(grpc.MaxRecvMsgSize(protocol.MaxMessageBytes), grpc.MaxSendMsgSize(protocol.MaxMessageBytes))
	if err := protocol.Plugins(impl, "right")[protocol.PluginName].(plugin.GRPCPlugin).GRPCServer(nil, s); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("unix:"+listen(t, s), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c, err := protocol.Plugins(nil, token)[protocol.PluginName].(plugin.GRPCPlugin).GRPCClient(t.Context(), nil, conn)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*protocol.Client)
}

func listen(t *testing.T, s *grpc.Server) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "proto")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done; _ = os.RemoveAll(dir) })
	return socket
}

func TestDescribeCrossesUnchanged(t *testing.T) {
	want := protocol.Description{Name: "w", Version: "1.0.0", SDK: "go/1", Classes: []protocol.Class{{
		ClassName: "C", Description: "d", Schema: json.RawMessage(`{"type":"object"}`), Capabilities: []string{"update", "pause"},
		Resources: protocol.Amounts{CPUCores: 0.5, MemoryBytes: 1 << 40}, Limits: protocol.Amounts{CPUCores: 2, MemoryBytes: 3, PIDs: 4}, MaxPerNode: 5,
	}}}
	s := &scripted{describe: want}
	w := dialWorker(t, s, "right")
	for _, req := range []protocol.DescribeRequest{{}, {Brief: true}} {
		got, err := w.Describe(t.Context(), req)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if s.asked != req {
			t.Errorf("asked %+v, want %+v", s.asked, req)
		}
	}
}

func TestRunCrossesUnchanged(t *testing.T) {
	req := protocol.RunRequest{
		TaskID: "t", Name: "n", ClassName: "C", Epoch: 3, Attempt: 2, Attachments: json.RawMessage(`{"a":1}`),
		Stages: map[string]json.RawMessage{"s": json.RawMessage("1")}, Checkpoint: []byte("c"), Candidate: true, DataDir: "/d",
		Labels: map[string]string{"l": "v"}, IsPersistent: true, Dependencies: []string{"x"},
		GoMemLimitBytes: 1 << 40, GoMaxProcs: 3, LogLevel: "debug", Env: map[string]string{"K": "v", "EMPTY": ""},
	}
	events := []protocol.RunEvent{
		{Kind: protocol.EventStarted},
		{Kind: protocol.EventProgress, Progress: protocol.Progress{Percent: 1.5, Units: 2, Unit: "frames", Stage: "s"}},
		{Kind: protocol.EventStageFinished, Stage: "s", Value: json.RawMessage(`{"x":1}`)},
		{Kind: protocol.EventError, Message: "camera away"},
		{Kind: protocol.EventError},
		{Kind: protocol.EventResult, Value: json.RawMessage(`[1]`)},
		{Kind: protocol.EventContract, Unit: "frames", Budget: 5 * time.Second},
		{Kind: protocol.EventReady},
		{Kind: protocol.EventFinished, Finished: protocol.Finished{Kind: protocol.FinishedPanic, Message: "m", Stack: "s", Permanent: true, Hook: "Main"}},
	}
	var seen protocol.RunRequest
	w := &scripted{run: func(_ context.Context, r protocol.RunRequest, emit func(protocol.RunEvent)) error {
		seen = r
		for _, e := range events {
			emit(e)
		}
		return nil
	}}
	var got []protocol.RunEvent
	if err := dialWorker(t, w, "right").Run(t.Context(), req, func(e protocol.RunEvent) { got = append(got, e) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(req, seen); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(events, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRunWithoutALastWordIsAnError(t *testing.T) {
	w := &scripted{run: func(context.Context, protocol.RunRequest, func(protocol.RunEvent)) error { return nil }}
	if err := dialWorker(t, w, "right").Run(t.Context(), protocol.RunRequest{}, func(protocol.RunEvent) {}); err == nil {
		t.Error("no error")
	}
}

func TestAVanishedHostDoesNotBlockTheTask(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	w := &scripted{run: func(ctx context.Context, _ protocol.RunRequest, emit func(protocol.RunEvent)) error {
		defer close(ended)
		emit(protocol.RunEvent{Kind: protocol.EventStarted})
		<-ctx.Done()
		for range 10_000 { // far more than any window holds
			emit(protocol.RunEvent{Kind: protocol.EventError, Message: "is anybody there"})
		}
		return nil
	}}
	c := dialWorker(t, w, "right")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res := make(chan error, 1)
	go func() { res <- c.Run(ctx, protocol.RunRequest{}, func(protocol.RunEvent) { close(started) }) }()
	<-started
	cancel()
	if err := <-res; err == nil {
		t.Error("a cancelled Run returned no error")
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the task is blocked by a host that has gone")
	}
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	for _, want := range []error{protocol.ErrRefused, protocol.ErrFenced, protocol.ErrUnsupported} {
		w := &scripted{update: func(json.RawMessage) error { return fmt.Errorf("fixFrame is odd: %w", want) }}
		err := dialWorker(t, w, "right").Update(t.Context(), nil)
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "update: fixFrame is odd") {
			t.Errorf("got %v, want %v with its text", err, want)
		}
	}
	w := &scripted{update: func(json.RawMessage) error { return errors.New("just so") }}
	err := dialWorker(t, w, "right").Update(t.Context(), nil)
	if err == nil || err.Error() != "update: just so" {
		t.Errorf("got %v", err)
	}
}

func TestSmallCalls(t *testing.T) {
	w := &scripted{state: make([]byte, protocol.MaxCheckpoint)}
	c := dialWorker(t, w, "right")
	freed, err := c.Pressure(t.Context(), protocol.PressureHard, 41)
	if err != nil || freed != 42 {
		t.Errorf("pressure: %d, %v", freed, err)
	}
	err = errors.Join(c.Configure(t.Context(), 1<<30, 2), c.Pause(t.Context()), c.Resume(t.Context()),
		c.Restore(t.Context(), []byte("s"), 9), c.Stop(t.Context(), "drain", 1500*time.Millisecond))
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"pressure hard 41", "configure 1073741824 2", "pause", "resume", "restore s 9", "stop drain 1.5s"}, w.seen); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if state, err := c.Checkpoint(t.Context()); err != nil || len(state) != protocol.MaxCheckpoint {
		t.Errorf("checkpoint: %d bytes, %v", len(state), err)
	}
	w.state = append(w.state, 0)
	if _, err := c.Checkpoint(t.Context()); err == nil {
		t.Error("a checkpoint that is too large came through")
	}
}

func TestWrongTokenIsRefusedEverywhere(t *testing.T) {
	for _, token := range []string{"", "wrong"} {
		c := dialWorker(t, &scripted{}, token) // whatever reached the worker would be a nil call
		_, derr := c.Describe(t.Context(), protocol.DescribeRequest{})
		_, cerr := c.Checkpoint(t.Context())
		_, perr := c.Pressure(t.Context(), protocol.PressureSoft, 1)
		for name, err := range map[string]error{
			"describe": derr, "checkpoint": cerr, "pressure": perr,
			"configure": c.Configure(t.Context(), 1, 1),
			"run":       c.Run(t.Context(), protocol.RunRequest{}, func(protocol.RunEvent) {}),
			"update":    c.Update(t.Context(), nil), "pause": c.Pause(t.Context()), "resume": c.Resume(t.Context()),
			"stop": c.Stop(t.Context(), "", 0), "restore": c.Restore(t.Context(), nil, 1),
		} {
			if !errors.Is(err, protocol.ErrTokenMismatch) {
				t.Errorf("%s with token %q: got %v", name, token, err)
			}
		}
	}
}

// services is a host of one value each.
type services struct {
	cache     map[string][]byte
	ttl       time.Duration
	artifact  protocol.Artifact
	state     []byte
	saveFault error
}

func (s *services) CacheGet(_ context.Context, k string) ([]byte, bool, error) {
	v, ok := s.cache[k]
	return v, ok, nil
}

func (s *services) CacheSet(_ context.Context, k string, v []byte, ttl time.Duration) error {
	s.cache[k], s.ttl = v, ttl
	return nil
}

func (s *services) CacheDelete(_ context.Context, k string) error {
	delete(s.cache, k)
	return nil
}

func (s *services) ReportArtifact(_ context.Context, a protocol.Artifact) error {
	s.artifact = a
	return nil
}

func (s *services) SaveCheckpoint(_ context.Context, b []byte) error {
	s.state = b
	return s.saveFault
}

func (s *services) LoadCheckpoint(context.Context) ([]byte, bool, error) {
	return s.state, s.state != nil, nil
}

func (s *services) Secret(_ context.Context, name string) (string, error) {
	if name != "known" {
		return "", errors.New("no such secret")
	}
	return "s3cret", nil
}

func dialServices(t *testing.T, s protocol.HostServices, token string) *protocol.HostServicesClient {
	t.Helper()
	c, err := protocol.DialHostServices(listen(t, protocol.NewHostServicesServer(s, "right")), token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestHostServices(t *testing.T) {
	s := &services{cache: map[string][]byte{}}
	c, ctx := dialServices(t, s, "right"), t.Context()
	if _, found, err := c.CacheGet(ctx, "k"); found || err != nil {
		t.Errorf("an empty cache has it: %v, %v", found, err)
	}
	full := bytes.Repeat([]byte("x"), protocol.MaxCacheValue)
	if err := c.CacheSet(ctx, "k", full, 1100*time.Millisecond); err != nil || s.ttl != 2*time.Second {
		t.Errorf("set: %v, time to live %s", err, s.ttl)
	}
	if v, found, err := c.CacheGet(ctx, "k"); !found || err != nil || !bytes.Equal(v, full) {
		t.Errorf("get: %d bytes, %v, %v", len(v), found, err)
	}
	if err := c.CacheSet(ctx, "k", append(full, 'x'), 0); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("a value that is too large: %v", err)
	}
	if err := c.CacheDelete(ctx, "k"); err != nil || len(s.cache) != 0 {
		t.Errorf("delete: %v, left %d", err, len(s.cache))
	}
	want := protocol.Artifact{Kind: "recording", Path: "/x", StartedAt: time.UnixMilli(7), Bytes: 5, Duration: time.Second, EndReason: "cut", Meta: json.RawMessage(`{}`)}
	if err := c.ReportArtifact(ctx, want); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, s.artifact); diff != "" {
		t.Errorf("artifact (-want +got):\n%s", diff)
	}
	if _, found, err := c.LoadCheckpoint(ctx); found || err != nil {
		t.Errorf("a checkpoint from nowhere: %v, %v", found, err)
	}
	if err := c.SaveCheckpoint(ctx, full); err != nil {
		t.Error(err)
	}
	if b, found, err := c.LoadCheckpoint(ctx); !found || err != nil || !bytes.Equal(b, full) {
		t.Errorf("load: %d bytes, %v, %v", len(b), found, err)
	}
	if err := c.SaveCheckpoint(ctx, append(full, 'x')); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("a checkpoint that is too large: %v", err)
	}
	s.saveFault = protocol.ErrFenced
	if err := c.SaveCheckpoint(ctx, nil); !errors.Is(err, protocol.ErrFenced) {
		t.Errorf("a fenced write: %v", err)
	}
	if v, err := c.Secret(ctx, "known"); v != "s3cret" || err != nil {
		t.Errorf("secret: %q, %v", v, err)
	}
	if _, err := c.Secret(ctx, "other"); err == nil || err.Error() != "read secret other: no such secret" {
		t.Errorf("unknown secret: %v", err)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil && !strings.Contains(err.Error(), "closing") {
		t.Errorf("close twice: %v", err)
	}
	if _, _, err := dialServices(t, s, "wrong").CacheGet(ctx, "k"); !errors.Is(err, protocol.ErrTokenMismatch) {
		t.Errorf("a wrong token: %v", err)
	}
}
