package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/testlog"
)

const patience = 30 * time.Second

func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("not received within %v: %s", patience, what)
		panic("unreachable")
	}
}

func controllerEnd(t testing.TB, cfg kafka.Config) *kafka.ControllerBus {
	t.Helper()
	b, err := kafka.NewControllerBus(cfg, testlog.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func hostEnd(t testing.TB, cfg kafka.Config) *kafka.HostBus {
	t.Helper()
	b, err := kafka.NewHostBus(cfg, testlog.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// reading runs a blocking read until the test ends.
func reading(t testing.TB, read func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := read(ctx); err != nil {
			t.Errorf("a read ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func TestBusIsAway(t *testing.T) {
	b := hostEnd(t, kafka.Config{Brokers: []string{"127.0.0.1:1"}, User: "u", Password: "secret word"})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := b.Heartbeat(ctx, skalds.ShortHeartbeat{NodeID: "n"})
	if !errors.Is(err, skalds.ErrUnavailable) {
		t.Errorf("a heartbeat to a bus that is away: %v, want unavailable", err)
	}
	if took := time.Since(start); took > 5*500*time.Millisecond {
		t.Errorf("it took %v to give up after 500 ms", took)
	}
	if err := b.Ping(ctx); !errors.Is(err, skalds.ErrUnavailable) {
		t.Errorf("ping: %v, want unavailable", err)
	}
}

func TestWrongPassword(t *testing.T) {
	s := startServer(t)
	cfg := s.config()
	cfg.Password = "wrong"
	b := hostEnd(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := b.Ping(ctx); err == nil {
		t.Error("the bus takes a wrong password")
	}
	if err := b.Report(ctx, skalds.HostMessage{NodeID: "n"}); err == nil {
		t.Error("the bus takes a report under a wrong password")
	}
}

// TestRestart stops the bus under both ends: everything goes on where it was, and the host is told to say hello.
func TestRestart(t *testing.T) { onEach(t, restart) }

func restart(t *testing.T, s broker) {
	c, h := controllerEnd(t, s.config()), hostEnd(t, s.config())
	ready, commands := make(chan int32, 100), make(chan skalds.NodeMessage, 1000)
	reading(t, func(ctx context.Context) error {
		return h.Commands(ctx, "n1", func(p int32) { ready <- p }, func(m skalds.NodeMessage) { commands <- m })
	})
	reports, caught := make(chan int64, 1000), make(chan struct{}, 10)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", func() { caught <- struct{}{} }, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m.Report.Seq })
	})
	alive := make(chan struct{}, 1000)
	reading(t, func(ctx context.Context) error {
		return c.Heartbeats(ctx, func() { alive <- struct{}{} }, func(skalds.ShortHeartbeat) {})
	})
	changes := make(chan int64, 1000)
	reading(t, func(ctx context.Context) error {
		return c.Changes(ctx, "", func() { changes <- -1 }, func(_ string, ch skalds.Change) { changes <- ch.Revision })
	})
	p := receive(t, "ready", ready)
	receive(t, "caught up", caught)
	rounds := int64(3)
	if _, slow := s.(*real); slow {
		rounds = 1
	}
	for round := range rounds {
		if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n1", Report: &skalds.Report{Seq: round}}); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, "a report", reports); got != round {
			t.Fatalf("round %d: report %d", round, got)
		}
		if err := c.Send(t.Context(), p, skalds.NodeMessage{NodeID: "n1", AskHello: true}); err != nil {
			t.Fatal(err)
		}
		receive(t, "a command", commands)
		s.stop()
		for len(alive) > 0 {
			<-alive
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		if err := h.Heartbeat(ctx, skalds.ShortHeartbeat{NodeID: "n1"}); err == nil {
			t.Error("a heartbeat got through a bus that is stopped")
		}
		cancel()
		if n := len(alive); n > 1 { // one may have been under way
			t.Errorf("alive was called %d times while the bus was stopped", n)
		}
		for len(ready) > 0 {
			<-ready
		}
		s.start()
		start := time.Now()
		if got := receive(t, "ready again", ready); got != p {
			t.Errorf("ready again with partition %d, before it was %d", got, p)
		}
		t.Logf("ready again %v after the start", time.Since(start).Round(time.Millisecond))
		receive(t, "alive again", alive)
		t.Logf("alive again %v after the start", time.Since(start).Round(time.Millisecond))
	}
	if err := c.PublishChange(t.Context(), skalds.Change{TaskID: "t", Revision: 7}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "a change after all restarts", changes); got != 7 {
		t.Errorf("change %d came after the restarts, want 7 without a reset", got)
	}
	if len(caught) > 0 {
		t.Error("caught up was called again")
	}
}

// TestEmptied loses all that the bus held: readers begin anew, and say so.
func TestEmptied(t *testing.T) { onEach(t, emptied) }

func emptied(t *testing.T, s broker) {
	c, h := controllerEnd(t, s.config()), hostEnd(t, s.config())
	ready, commands := make(chan int32, 100), make(chan skalds.NodeMessage, 1000)
	reading(t, func(ctx context.Context) error {
		return h.Commands(ctx, "n1", func(p int32) { ready <- p }, func(m skalds.NodeMessage) { commands <- m })
	})
	reports := make(chan string, 1000)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", nil, func(_ context.Context, m skalds.HostMessage, next string) { reports <- fmt.Sprint(m.Report.Seq) })
	})
	changes := make(chan int64, 1000)
	reading(t, func(ctx context.Context) error {
		return c.Changes(ctx, "", func() { changes <- -1 }, func(_ string, ch skalds.Change) { changes <- ch.Revision })
	})
	p := receive(t, "ready", ready)
	for i := range int64(5) {
		if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n1", Report: &skalds.Report{Seq: i}}); err != nil {
			t.Fatal(err)
		}
		receive(t, "a report", reports)
	}
	published := time.After(patience)
	for seen := false; !seen; { // until Changes has begun
		if err := c.PublishChange(t.Context(), skalds.Change{TaskID: "t", Revision: 1}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changes:
			seen = true
		case <-time.After(50 * time.Millisecond):
		case <-published:
			t.Fatal("no change arrives")
		}
	}
	s.stop()
	s.empty()
	for len(ready) > 0 {
		<-ready
	}
	s.start()
	receive(t, "ready on the new bus", ready)
	if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n1", Report: &skalds.Report{Seq: 100}}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "a report on the new bus", reports); got != "100" {
		t.Errorf("report %s came, want 100", got)
	}
	for got := receive(t, "reset", changes); got != -1; got = receive(t, "reset", changes) {
		if got != 1 { // published more often than seen
			t.Errorf("change %d came instead of a reset", got)
		}
	}
	deadline := time.After(patience)
	for seen := false; !seen; {
		if err := c.Send(t.Context(), p, skalds.NodeMessage{NodeID: "n1", AskHello: true}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-commands:
			seen = true
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			t.Fatal("no command arrives on the new bus")
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  kafka.Config
		want string
	}{
		{kafka.Config{}, "no broker is named"},
		{kafka.Config{Brokers: []string{"host"}}, "has no port"},
		{kafka.Config{Brokers: []string{"host:1"}, Mechanism: "GSSAPI"}, "is none of PLAIN"},
	} {
		if _, err := kafka.NewHostBus(c.cfg, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}

// BenchmarkHop measures report → controller → command → host: two hops and two acknowledgements.
func BenchmarkHop(b *testing.B) {
	s := startServer(b)
	c, h := controllerEnd(b, s.config()), hostEnd(b, s.config())
	ready, back := make(chan int32, 10), make(chan struct{}, 1)
	reading(b, func(ctx context.Context) error {
		return h.Commands(ctx, "n1", func(p int32) { ready <- p }, func(skalds.NodeMessage) { back <- struct{}{} })
	})
	p := receive(b, "ready", ready)
	caught := make(chan struct{}, 1)
	reading(b, func(ctx context.Context) error {
		return c.Reports(ctx, "", func() { caught <- struct{}{} }, func(ctx context.Context, _ skalds.HostMessage, _ string) {
			if err := c.Send(ctx, p, skalds.NodeMessage{NodeID: "n1", AskHello: true}); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		})
	})
	receive(b, "caught up", caught)
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Report(b.Context(), skalds.HostMessage{NodeID: "n1", Report: &skalds.Report{TaskID: "t", Seq: 1}}); err != nil {
			b.Fatal(err)
		}
		receive(b, "the command", back)
	}
}

// BenchmarkReport measures how many messages per second many callers get acknowledged.
func BenchmarkReport(b *testing.B) {
	s := startServer(b)
	h := hostEnd(b, s.config())
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := h.Report(b.Context(), skalds.HostMessage{NodeID: "n1", Report: &skalds.Report{TaskID: "t", Seq: 1}}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
