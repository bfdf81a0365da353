package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
)

type sse struct {
	t     testing.TB
	res   *http.Response
	lines *bufio.Scanner
}

func open(t testing.TB, s *httptest.Server, path string, header ...string) *sse {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	return &sse{t, res, lines}
}

type event struct {
	id, Type string
	SkaldID  string          `json:"skaldId"`
	TaskID   string          `json:"taskId"`
	Line     string          `json:"line"`
	Data     json.RawMessage `json:"data"`
}

// next is the next event of one of the types (none given: of any); ok is false at the end of the stream.
func (s *sse) next(types ...string) (e event, ok bool) {
	for s.lines.Scan() {
		line := s.lines.Text()
		switch {
		case strings.HasPrefix(line, "id: "):
			e.id = line[4:]
		case strings.HasPrefix(line, ": ") && len(types) == 1 && types[0] == "comment":
			return e, true
		case strings.HasPrefix(line, "data: "):
			if err := json.Unmarshal([]byte(line[6:]), &e); err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
			for _, want := range types {
				if e.Type == want {
					return e, true
				}
			}
			if len(types) == 0 {
				return e, true
			}
			e = event{}
		}
	}
	return e, false
}

func TestTaskEvents(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	all, one := open(t, s, "/api/events/tasks"), open(t, s, "/api/events/tasks?task_id=b")
	if ct := all.res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %q", ct)
	}
	if e, _ := all.next(); e.Type != "connection" {
		t.Errorf("first came %+v", e)
	}
	until(t, "both listen", func() bool { return f.subscribers() == 2 })
	create(t, f, "a", "{}")
	create(t, f, "b", "{}").Error = "rtsp://u:p@h is away"
	if _, err := f.move("b", skalds.Failed, skalds.Created); err != nil {
		t.Fatal(err)
	}
	if e, _ := all.next("task_status"); e.TaskID != "a" || e.id != "1" || !strings.Contains(string(e.Data), `"lifecycleStatus":"Created"`) {
		t.Errorf("came %+v", e)
	}
	if e, _ := one.next("task_status"); e.TaskID != "b" || e.id != "2" {
		t.Errorf("came %+v", e)
	}
	if e, _ := one.next("task_error"); !strings.Contains(string(e.Data), "rtsp://u:***@h is away") {
		t.Errorf("came %+v", e)
	}
	if e, _ := one.next("task_heartbeat"); !strings.Contains(string(e.Data), `"heartbeat":-1`) {
		t.Errorf("came %+v", e)
	}

	again := open(t, s, "/api/events/tasks", "Last-Event-ID", "2")
	if e, _ := again.next("task_status"); e.TaskID != "b" || e.id != "3" {
		t.Errorf("after id 2 came %+v", e)
	}
	unknown := open(t, s, "/api/events/tasks", "Last-Event-ID", "99")
	if e, _ := unknown.next("reset", "task_status"); e.Type != "reset" {
		t.Errorf("after an unknown id came %+v", e)
	}
	var status api.EventsStatus
	call(t, s, "GET", "/api/events/status", "").decode(t, &status)
	if status.ConnectedClients != 4 || status.Status != "active" {
		t.Errorf("status %+v", status)
	}
}

func TestHeartbeatsArriveWhenTheyAreNew(t *testing.T) {
	f := newFake()
	f.nodes[0].Heartbeat.Instances = []skalds.InstanceStatus{{TaskID: "a", State: skalds.Running, Usage: skalds.Usage{CPUCores: 0.5}}}
	s := serve(t, f)
	nodes, tasks := open(t, s, "/api/events/skalds"), open(t, s, "/api/events/tasks")
	if e, _ := nodes.next("skald_heartbeat"); e.SkaldID != "node-1" || !strings.Contains(string(e.Data), `"heartbeat":7`) {
		t.Errorf("came %+v", e)
	}
	if e, _ := tasks.next("task_heartbeat"); e.TaskID != "a" || !strings.Contains(string(e.Data), `"cpuCores":0.5`) {
		t.Errorf("came %+v", e)
	}
	f.mu.Lock()
	hb := *f.nodes[0].Heartbeat
	hb.Seq = 8
	f.nodes[0].Heartbeat, f.nodes[0].Online = &hb, false
	f.mu.Unlock()
	if e, _ := nodes.next("skald_status"); !strings.Contains(string(e.Data), "offline") {
		t.Errorf("came %+v", e)
	}
	if e, _ := nodes.next("skald_heartbeat"); !strings.Contains(string(e.Data), `"heartbeat":8`) {
		t.Errorf("the same heartbeat came twice, or none: %+v", e)
	}
}

func TestSilentStreamsStayAlive(t *testing.T) {
	f := newFake()
	s := serve(t, f, func(c *api.Config) { c.KeepAlive = 5 * time.Millisecond })
	if _, ok := open(t, s, "/api/events/tasks").next("comment"); !ok {
		t.Error("no comment came")
	}
}

func TestStreamsEndWithTheServer(t *testing.T) {
	f := newFake()
	f.logs = func(ctx context.Context, _ string, _ int, _ bool) (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			fmt.Fprintln(w, "first")
			<-ctx.Done()
			w.CloseWithError(ctx.Err())
		}()
		return r, nil
	}
	create(t, f, "a", "{}")
	ctx, stop := context.WithCancel(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:     api.New(api.Config{}, f, f, f, f, f, nil, hclog.NewNullLogger()),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second, ReadHeaderTimeout: time.Second,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	s := &httptest.Server{URL: "http://" + l.Addr().String()}
	events, logs := open(t, s, "/api/events/all"), open(t, s, "/api/tasks/a/logs?follow=true", "Accept", "text/event-stream")
	if e, _ := events.next(); e.Type != "connection" {
		t.Errorf("came %+v", e)
	}
	if e, _ := logs.next("log"); e.Line != "first" {
		t.Errorf("came %+v", e)
	}
	until(t, "the stream listens", func() bool { return f.subscribers() == 1 })
	stop()
	if _, ok := events.next("task_status"); ok {
		t.Error("events go on")
	}
	if _, ok := logs.next("log"); ok {
		t.Error("the log goes on")
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-done; err != http.ErrServerClosed {
		t.Errorf("serve: %v", err)
	}
	if n := f.subscribers(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestASlowClientIsDroppedAndBlocksNobody(t *testing.T) {
	f := newFake()
	s := serve(t, f, func(c *api.Config) { c.WriteTimeout = 200 * time.Millisecond })
	slow := open(t, s, "/api/events/tasks")
	until(t, "it listens", func() bool { return f.subscribers() == 1 })
	task := create(t, f, "a", "{}")
	task.Exception = strings.Repeat("x", 64<<10)
	f.mu.Lock()
	for range 2000 { // far more than every buffer on the way
		f.publish(task)
	}
	f.mu.Unlock()
	until(t, "it is dropped", func() bool { return f.subscribers() == 0 })
	slow.res.Body.Close()
}

func TestLogs(t *testing.T) {
	f := newFake()
	long := strings.Repeat("y", 1<<20) + " rtsp://u:" // and a line of it stays whole
	f.logs = func(_ context.Context, _ string, tail int, follow bool) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(fmt.Sprintf("tail %d follow %v\nopen rtsp://u:p@h\n%sp@h\nno end", tail, follow, long))), nil
	}
	create(t, f, "a", "{}")
	s := serve(t, f)
	a := call(t, s, "GET", "/api/tasks/a/logs?tail=7", "")
	masked := long + "***@h"
	if want := "tail 7 follow false\nopen rtsp://u:***@h\n" + masked + "\nno end"; a.status != 200 || strings.TrimSuffix(string(a.body), "\n") != want {
		t.Errorf("answered %d %.200q, %d bytes", a.status, a.body, len(a.body))
	}
	if ct := a.header.Get("Content-Type"); ct != "text/plain; charset=utf-8" {
		t.Errorf("content type %q", ct)
	}
	events := open(t, s, "/api/tasks/a/logs?follow=true", "Accept", "text/event-stream")
	if e, _ := events.next(); e.Line != "tail 200 follow true" {
		t.Errorf("came %+v", e)
	}
	if e, _ := events.next(); e.Line != "open rtsp://u:***@h" {
		t.Errorf("came %+v", e)
	}
	if e, _ := events.next(); e.Line != masked {
		t.Errorf("came %d bytes: %.60s", len(e.Line), e.Line)
	}
	if _, ok := events.next("end"); !ok {
		t.Error("no end came")
	}
	f.logs = func(context.Context, string, int, bool) (io.ReadCloser, error) {
		return nil, skalds.Errorf(skalds.CodeUnavailable, "node node-1 is away: its log cannot be read now")
	}
	if a := call(t, s, "GET", "/api/tasks/a/logs", ""); a.status != 503 || !strings.Contains(string(a.body), "node-1 is away") {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

// What is longer than any line of a host comes in pieces, and nothing of it is lost.
func TestALineWithoutAnEndIsHeldInPieces(t *testing.T) {
	f := newFake()
	const size = 5 << 20
	f.logs = func(context.Context, string, int, bool) (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(forEver('z'), size)), nil
	}
	create(t, f, "a", "{}")
	a := call(t, serve(t, f), "GET", "/api/tasks/a/logs", "")
	lines := strings.Split(strings.TrimSuffix(string(a.body), "\n"), "\n")
	sum := 0
	for _, l := range lines {
		if len(l) > 2<<20 {
			t.Errorf("a piece of %d bytes", len(l))
		}
		sum += len(l)
	}
	if sum != size || len(lines) < 3 {
		t.Errorf("%d bytes in %d pieces", sum, len(lines))
	}
}

// forEver is a reader of one byte.
type forEver byte

func (b forEver) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestALogIsLeftWhenItsClientLeaves(t *testing.T) {
	f := newFake()
	left := make(chan struct{})
	f.logs = func(ctx context.Context, _ string, _ int, _ bool) (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			fmt.Fprintln(w, "first")
			<-ctx.Done()
			close(left)
			w.Close()
		}()
		return r, nil
	}
	create(t, f, "a", "{}")
	s := serve(t, f)
	logs := open(t, s, "/api/tasks/a/logs?follow=true")
	if !logs.lines.Scan() || logs.lines.Text() != "first" {
		t.Fatalf("came %q", logs.lines.Text())
	}
	logs.res.Body.Close()
	<-left
}

func TestHostsDeliverStreams(t *testing.T) {
	f := newFake()
	got := make(chan string, 1)
	f.deliver = func(id, token string, body io.Reader) error {
		if token != "geheim" {
			return skalds.Errorf(skalds.CodeNotFound, "nobody waits for stream %s", id)
		}
		b, err := io.ReadAll(body)
		got <- id + ": " + string(b)
		return err
	}
	s := serve(t, f, func(c *api.Config) { c.Token = "of the clients" })
	large := strings.Repeat("z", 3<<20)
	a := call(t, s, "POST", "/api/internal/streams/s1", large, "Authorization", "Bearer geheim", "Content-Type", "text/plain")
	if a.status != http.StatusNoContent || <-got != "s1: "+large {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	if a := call(t, s, "POST", "/api/internal/streams/s1", "x", "Authorization", "Bearer nope"); a.status != 404 {
		t.Errorf("a wrong token answered %d %s", a.status, a.body)
	}
}

var _ api.TaskService = (*controller.TaskService)(nil)
