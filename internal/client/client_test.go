package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/controllertest"
	"github.com/skalds-go/skalds/controller/dashboard"
	"github.com/skalds-go/skalds/internal/client"
)

// world is a controller with one node, and a client of it.
type world struct {
	*controllertest.World
	*client.Client
}

func start(t *testing.T) world {
	t.Helper()
	w := controllertest.NewWorld(t, controllertest.WorldConfig{Page: dashboard.Handler(), Worker: skalds.WorkerInfo{
		Name: "demo", Version: "1.0.0", Digest: "sha256:1", Protocol: 1, Classes: []skalds.ClassInfo{{
			ClassName: "Demo", Schema: json.RawMessage(`{"type":"object","properties":{"url":{"type":"string"},"n":{"type":"integer"}},"additionalProperties":false}`),
		}},
	}})
	cl := client.New(w.URL, "")
	t.Cleanup(func() {
		if err := cl.Close(); err != nil {
			t.Error(err)
		}
	})
	return world{w, cl}
}

func (w world) running(t *testing.T, id string) api.TaskResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := w.WaitFor(ctx, id, func(r api.TaskResponse) bool { return r.LifecycleStatus == skalds.Running && r.Usage != nil })
	if err != nil {
		t.Fatalf("%v; the task is %+v", err, got)
	}
	return got
}

func TestATaskFinishesAndIsExplained(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	made, err := w.CreateTask(ctx, api.CreateTask{ClassName: "Demo", ID: "a b/c", Attachments: json.RawMessage(`{"n":1}`)}, "key")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.CreateTask(ctx, api.CreateTask{ClassName: "Demo", ID: "a b/c", Attachments: json.RawMessage(`{"n":1}`)}, "key"); err != nil || again.ID != made.ID {
		t.Errorf("the same again gave %+v, %v", again, err)
	}
	end, err := w.Wait(ctx, "a b/c")
	if err != nil || end.LifecycleStatus != skalds.Finished || end.Heartbeat != 200 {
		t.Fatalf("ended as %+v, %v", end, err)
	}
	w.Until(t, "the attempt is kept", func() bool {
		list, err := w.Attempts(ctx, "a b/c")
		return err == nil && len(list) == 1 && list[0].Exit != nil && list[0].Exit.Kind == skalds.ExitCompleted
	})
	if list, err := w.Tasks(ctx, client.ListTasks{States: []skalds.State{skalds.Finished}, IDContains: "B/C", PageSize: 5}); err != nil || list.Total != 1 {
		t.Errorf("lists %+v, %v", list, err)
	}
	if names, err := w.ClassNames(ctx); err != nil || len(names) != 1 {
		t.Errorf("classes %v, %v", names, err)
	}
	if sum, err := w.Summary(ctx); err != nil || sum.FinishedTasks != 1 || sum.OnlineSkalds != 1 {
		t.Errorf("summary %+v, %v", sum, err)
	}
	if a, err := w.Activity(ctx, 1); err != nil || a.TasksFinished != 1 || a.SuccessRate != 100 {
		t.Errorf("activity %+v, %v", a, err)
	}
}

func TestARunningTaskIsPausedChangedAndCancelled(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	w.Host.Behave = controllertest.ForEver
	if _, err := w.CreateTaskJSON(ctx, json.RawMessage(`{"className":"Demo","id":"a","attachments":{"url":"rtsp://u:geheim@h/1"}}`), ""); err != nil {
		t.Fatal(err)
	}
	got := w.running(t, "a")
	if got.Executor == nil || *got.Executor != "node-1" || got.Usage.MemoryBytes != 8<<20 || string(got.Attachments) != `{"url":"rtsp://u:***@h/1"}` {
		t.Errorf("runs as %+v with %s", got, got.Attachments)
	}
	is := func(want skalds.State) func(api.TaskResponse) bool {
		return func(r api.TaskResponse) bool { return r.LifecycleStatus == want }
	}
	if _, err := w.Pause(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WaitFor(ctx, "a", is(skalds.Paused)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Resume(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WaitFor(ctx, "a", is(skalds.Running)); err != nil {
		t.Fatal(err)
	}
	changed, err := w.UpdateAttachments(ctx, "a", json.RawMessage(`{"url":"rtsp://u:***@h/2","n":2}`), 0)
	if err != nil || string(changed.Attachments) != `{"n":2,"url":"rtsp://u:***@h/2"}` {
		t.Fatalf("changed to %s, %v", changed.Attachments, err)
	}
	w.Until(t, "the node has the whole password", func() bool {
		for _, m := range w.Host.Received() {
			if m.Command != nil && m.Command.Spec != nil && strings.Contains(string(m.Command.Spec.Attachments), "rtsp://u:geheim@h/2") {
				return true
			}
		}
		return false
	})
	var e *skalds.Error
	if _, err := w.UpdateAttachments(ctx, "a", json.RawMessage(`{"n":"x"}`), 0); !errors.As(err, &e) || e.Code != skalds.CodeInvalid || len(e.Fields) != 1 || e.Fields[0].Field != "attachments.n" {
		t.Errorf("a wrong type gave %v", err)
	}
	if _, err := w.UpdateAttachments(ctx, "a", json.RawMessage(`{}`), 1); !errors.Is(err, skalds.ErrConflict) {
		t.Errorf("an old revision gave %v", err)
	}
	w.Until(t, "usage has a history", func() bool {
		u, err := w.Usage(ctx, "a", time.Hour)
		return err == nil && len(u.Items) > 0 && u.Items[0].Usage.CPUCores == 0.25
	})
	if why, err := w.Why(ctx, "a"); err != nil || why.Executor != "node-1" || why.Summary == "" {
		t.Errorf("why %+v, %v", why, err)
	}
	if hb, err := w.TaskHeartbeat(ctx, "a"); err != nil || !hb.IsAlive {
		t.Errorf("heartbeat %+v, %v", hb, err)
	}
	if _, err := w.Cancel(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if end, err := w.Wait(ctx, "a"); err != nil || end.LifecycleStatus != skalds.Cancelled {
		t.Errorf("ended as %s, %v", end.LifecycleStatus, err)
	}
	if _, err := w.Retry(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	w.running(t, "a")
	if d, err := w.Delete(ctx, "a"); err != nil || d.Data.Status != skalds.Cancelled {
		t.Errorf("delete %+v, %v", d, err)
	}
	if d, err := w.SetStatus(ctx, "a", skalds.Created); err != nil || d.Data.Status != skalds.Created {
		t.Errorf("status %+v, %v", d, err)
	}
	if list, err := w.Recordings(ctx, "a"); err != nil || len(list) != 0 {
		t.Errorf("recordings %v, %v", list, err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	for name, c := range map[string]struct {
		call func() error
		code skalds.Code
		text string
	}{
		"unknown class": {func() error { _, err := w.CreateTask(ctx, api.CreateTask{ClassName: "Nope"}, ""); return err }, skalds.CodeInvalid, "known classes: Demo"},
		"unknown field": {func() error {
			_, err := w.CreateTaskJSON(ctx, json.RawMessage(`{"className":"Demo","prio":1}`), "")
			return err
		}, skalds.CodeInvalid, "prio: is no field"},
		"not built": {func() error {
			_, err := w.CreateTask(ctx, api.CreateTask{ClassName: "Demo", Survive: true}, "")
			return err
		}, skalds.CodeNotSupported, "survive"},
		"not there":  {func() error { _, err := w.Task(ctx, ".."); return err }, skalds.CodeInvalid, "cannot be used"},
		"no task":    {func() error { _, err := w.Task(ctx, "a/../b"); return err }, skalds.CodeNotFound, `"a/../b"`},
		"no node":    {func() error { _, err := w.Cordon(ctx, "nope"); return err }, skalds.CodeNotFound, "nope"},
		"refused":    {func() error { _, err := client.New("127.0.0.1:1", "").Task(ctx, "a"); return err }, skalds.CodeUnavailable, "cannot reach http://127.0.0.1:1: connection refused: is this the right address (--server, SKALDS_SERVER)? In a cluster name another of its controllers; on one machine `skalds standalone` starts everything"},
		"no address": {func() error { _, err := client.New("http://u:geheim@h:port", "").Task(ctx, "a"); return err }, skalds.CodeInvalid, "is no address"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.call()
			if skalds.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("got %v (%s)", err, skalds.CodeOf(err))
			}
		})
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if _, err := client.New(other.URL, "").Task(ctx, "a"); !errors.Is(err, skalds.ErrNotFound) || !strings.Contains(err.Error(), "no answer of skalds") {
		t.Errorf("another server gave %v", err)
	}
}

func TestNodesAndTheSystem(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	nodes, err := w.Nodes(ctx, "node", "online")
	if err != nil || nodes.Total != 1 || nodes.Items[0].Capacity == nil || nodes.Items[0].Capacity.CPUCores != 8 {
		t.Fatalf("nodes %+v, %v", nodes, err)
	}
	if n, err := w.Cordon(ctx, "node-1"); err != nil || !n.Cordoned {
		t.Errorf("cordon %+v, %v", n, err)
	}
	if n, err := w.Uncordon(ctx, "node-1"); err != nil || n.Cordoned {
		t.Errorf("uncordon %+v, %v", n, err)
	}
	if n, err := w.Drain(ctx, "node-1", nil); err != nil || !n.Draining {
		t.Errorf("drain %+v, %v", n, err)
	}
	if n, err := w.Undrain(ctx, "node-1"); err != nil || n.Draining {
		t.Errorf("undrain %+v, %v", n, err)
	}
	if n, err := w.Node(ctx, "node-1"); err != nil || n.Status != "online" {
		t.Errorf("node %+v, %v", n, err)
	}
	for name, call := range map[string]func() error{
		"tasks":        func() error { _, err := w.NodeTasks(ctx, "node-1"); return err },
		"status":       func() error { _, err := w.NodeStatus(ctx, "node-1"); return err },
		"heartbeat":    func() error { _, err := w.NodeHeartbeat(ctx, "node-1"); return err },
		"ping":         func() error { _, err := w.PingNode(ctx, "node-1"); return err },
		"statistics":   func() error { _, err := w.NodeStatistics(ctx); return err },
		"health":       func() error { _, err := w.Health(ctx); return err },
		"system":       func() error { _, err := w.Status(ctx); return err },
		"config":       func() error { _, err := w.Config(ctx); return err },
		"metrics":      func() error { _, err := w.Metrics(ctx); return err },
		"distribution": func() error { _, err := w.Distribution(ctx); return err },
		"cleanup":      func() error { _, err := w.Cleanup(ctx); return err },
		"version":      func() error { _, err := w.Version(ctx); return err },
		"events":       func() error { _, err := w.EventsStatus(ctx); return err },
		"live":         func() error { return w.Live(ctx) },
		"controllers":  func() error { _, err := w.Controllers(ctx); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadyNamesWhatIsMissing(t *testing.T) {
	w := start(t)
	w.Until(t, "it is ready", func() bool {
		err := w.Ready(t.Context())
		if err != nil && (!errors.Is(err, skalds.ErrUnavailable) || !strings.Contains(err.Error(), "not ready; ")) {
			t.Fatalf("not ready says %v", err)
		}
		return err == nil
	})
}

func TestEventsGoOnWhereTheyWereLeft(t *testing.T) {
	w := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	enough := errors.New("enough")
	w.Host.Behave = controllertest.ForEver
	connected, first := make(chan struct{}), make(chan string, 1)
	go func() {
		var id string
		err := w.Events(ctx, client.ListenTo{Tasks: true}, func(e client.Event) error {
			if e.Type == "connection" {
				close(connected)
			}
			if e.Type == "task_status" {
				id = e.ID
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Errorf("the first stream ended with %v", err)
		}
		first <- id
	}()
	<-connected
	w.Until(t, "it listens", func() bool { s, err := w.EventsStatus(ctx); return err == nil && s.ConnectedClients == 1 })
	if _, err := w.CreateTask(ctx, api.CreateTask{ClassName: "Demo", ID: "a"}, ""); err != nil {
		t.Fatal(err)
	}
	id := <-first
	if id == "" {
		t.Fatal("the event has no id")
	}
	w.running(t, "a")
	if _, err := w.Cancel(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Wait(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	var states []string
	err := w.Events(ctx, client.ListenTo{Tasks: true, After: id}, func(e client.Event) error {
		var d struct {
			S string `json:"lifecycleStatus"`
		}
		if e.Type == "task_status" && json.Unmarshal(e.Data, &d) == nil {
			states = append(states, d.S)
			if d.S == "Cancelled" {
				return enough
			}
		}
		return nil
	})
	if !errors.Is(err, enough) || states[0] == "Created" {
		t.Errorf("after the first event came %v, then %v", states, err)
	}
}

func TestLogsComeFromTheNode(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	w.Host.Behave = controllertest.ForEver
	if _, err := w.CreateTask(ctx, api.CreateTask{ClassName: "Demo", ID: "a"}, ""); err != nil {
		t.Fatal(err)
	}
	w.running(t, "a")
	posted := make(chan error, 1)
	more, line := io.Pipe()
	go func() { // as a host does
		var req *skalds.StreamRequest
		for end := time.Now().Add(20 * time.Second); req == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			for _, m := range w.Host.Received() {
				if m.Stream != nil {
					req = m.Stream
				}
			}
		}
		if req == nil {
			posted <- errors.New("no request came")
			return
		}
		r, err := http.NewRequest(http.MethodPost, req.URL, more)
		if err != nil {
			posted <- err
			return
		}
		r.Header.Set("Authorization", "Bearer "+req.Token)
		res, err := http.DefaultClient.Do(r)
		if err == nil {
			res.Body.Close()
		}
		posted <- err
	}()
	go func() { _, _ = line.Write([]byte("open rtsp://u:geheim@h\n")) }()
	logs, err := w.Logs(ctx, "a", 10, true)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := logs.Read(buf)
	if err != nil || string(buf[:n]) != "open rtsp://u:***@h\n" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	if _, err := line.Write([]byte("second\n")); err != nil {
		t.Error(err)
	}
	line.Close()
	rest, err := io.ReadAll(logs)
	if err != nil || string(rest) != "second\n" {
		t.Errorf("then %q, %v", rest, err)
	}
	if err := logs.Close(); err != nil {
		t.Error(err)
	}
	if err := <-posted; err != nil {
		t.Errorf("the host's post: %v", err)
	}
}

func TestWaitOutlivesARestartOfTheServer(t *testing.T) {
	f := make(chan http.Handler, 1)
	var answers atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/events") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		h := <-f
		f <- h
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	f <- http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch answers.Add(1) {
		case 1:
			_, _ = w.Write([]byte(`{"id":"a","lifecycleStatus":"Running"}`))
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte(`{"id":"a","lifecycleStatus":"Finished"}`))
		}
	})
	c := client.New(s.URL, "")
	defer c.Close()
	if got, err := c.Wait(t.Context(), "a"); err != nil || got.LifecycleStatus != skalds.Finished {
		t.Errorf("got %+v, %v", got, err)
	}
}
