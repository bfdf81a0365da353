package controller_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// logWorld is a controller behind real HTTP, with one node that has the log of one running task.
type logWorld struct {
	*world
	url    string
	noise  atomic.Pointer[string] // the first line of the log that says error
	answer func(r skalds.StreamRequest)
}

func newLogWorld(t *testing.T) *logWorld {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &logWorld{
		world: &world{t: t, store: controllertest.NewStore(), bus: controllertest.NewBus(), cfg: controller.DefaultConfig()},
		url:   "http://" + l.Addr().String(),
	}
	w.cfg.ServerURL = w.url
	var posts sync.WaitGroup
	w.bus.SetWatch(func(m skalds.NodeMessage) {
		if m.Stream != nil {
			posts.Go(func() { w.answer(*m.Stream) })
		}
	}, func(skalds.HostMessage) {})
	c, err := controller.New(w.cfg, w.store, w.bus, w.bus.Beats(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Controller = c
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: errorLines(func(line string) { w.noise.CompareAndSwap(nil, &line) })})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	s := &httptest.Server{Listener: l, Config: &http.Server{
		Handler:     api.New(api.Config{}, c.Tasks(), c.Nodes(), c.Events(), c.Streams(), c.Health(), nil, log),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}}
	s.Start()
	h := controllertest.NewHost(w.bus, "n1", controllertest.Worker("demo", "1.0.0", "Demo"))
	h.Behave = forever
	h.Start()
	t.Cleanup(func() {
		h.Kill()
		cancel()
		s.CloseClientConnections()
		s.Close()
		posts.Wait()
		if err := <-ran; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	w.until("the node offers its worker", func() bool { list, err := c.Nodes().Workers(ctx); return err == nil && len(list) == 1 })
	w.create("a")
	w.until("the task runs", func() bool { return w.task("a").LifecycleStatus == skalds.Running })
	return w
}

type errorLines func(line string)

func (fn errorLines) Write(p []byte) (int, error) { fn(string(p)); return len(p), nil }

// until waits for what becomes true by itself, in real time.
func (w *logWorld) until(what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never happened: %s", what)
		}
	}
}

// TestFollowersThatLeaveKeepNothing: a follower that leaves between two lines must free what its host holds for it.
func TestFollowersThatLeaveKeepNothing(t *testing.T) {
	w := newLogWorld(t)
	var open, begun atomic.Int32
	w.answer = func(r skalds.StreamRequest) { // as a host does, of a task that says nothing after its first line
		body, lines := io.Pipe()
		defer body.Close()
		defer context.AfterFunc(t.Context(), func() { _ = body.Close() })()
		go fmt.Fprintln(lines, "first")
		req, err := http.NewRequest(http.MethodPost, r.URL, body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+r.Token)
		begun.Add(1)
		open.Add(1)
		defer open.Add(-1)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
		}
	}
	const leavers = 100
	var wg sync.WaitGroup
	for i := range leavers {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 0 { // leaves before its host has begun, or soon after
				time.AfterFunc(time.Duration(i)*time.Millisecond/5, cancel)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/tasks/a/logs?follow=true", nil)
			if err != nil {
				t.Error(err)
				return
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return // has left
			}
			defer res.Body.Close()
			if line, err := bufio.NewReader(res.Body).ReadString('\n'); err == nil && line != "first\n" {
				t.Errorf("read %q", line)
			}
		})
	}
	wg.Wait()
	if begun.Load() < leavers/2 {
		t.Errorf("%d of %d streams began", begun.Load(), leavers)
	}
	w.until("every stream of the host has ended", func() bool { return open.Load() == 0 })
	if line := w.noise.Load(); line != nil {
		t.Errorf("a client that leaves is an error: %s", *line)
	}
}

func TestANodeThatRefusesAStreamIsRepeated(t *testing.T) {
	w := newLogWorld(t)
	answered := make(chan struct{})
	w.answer = func(r skalds.StreamRequest) {
		defer close(answered)
		req, err := http.NewRequest(http.MethodPost, r.URL, nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+r.Token)
		req.Header.Set(skalds.StreamRefusedHeader, "64 logs are being read there already")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusNoContent {
			t.Errorf("answered %s", res.Status)
		}
	}
	begun := time.Now()
	_, err := w.Tasks().Logs(t.Context(), "a", 10, true)
	if skalds.CodeOf(err) != skalds.CodeUnavailable || !strings.Contains(err.Error(), "node n1 refuses: 64 logs are being read there already") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > w.cfg.StreamTimeout/2 {
		t.Errorf("after %s", took)
	}
	<-answered // the reader hears of it before the host
}
