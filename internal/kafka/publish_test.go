package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/testlog"
)

func gone(task string) skalds.HostMessage {
	return skalds.HostMessage{NodeID: "n", Incarnation: 7, Gone: &skalds.HostGone{Tasks: []skalds.GoneTask{{TaskID: task, Epoch: 3}}, Silent: true}}
}

// told reads what hosts tell, until the test ends.
func told(t *testing.T, s *server) <-chan skalds.HostMessage {
	t.Helper()
	out, caught := make(chan skalds.HostMessage, 100), make(chan struct{})
	c := controllerEnd(t, s.config())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Reports(ctx, "", func() { close(caught) }, func(_ context.Context, m skalds.HostMessage, _ string) { out <- m })
	}()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, "the end of Reports", done); err != nil {
			t.Errorf("reports: %v", err)
		}
	})
	receive(t, "caught up", caught)
	return out
}

func TestPublish(t *testing.T) {
	s := startServer(t)
	messages := told(t, s)
	begun := time.Now()
	if err := kafka.Publish(t.Context(), s.config(), testlog.New(t), gone("a"), gone("b")); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	t.Logf("published in %s", took)
	if bound := 300 * time.Millisecond; took > 5*bound {
		t.Errorf("publishing took %s, promised are %s", took, bound)
	}
	for _, id := range []string{"a", "b"} {
		m := receive(t, "a message", messages)
		if m.NodeID != "n" || m.Incarnation != 7 || m.Gone == nil || !m.Gone.Silent || len(m.Gone.Tasks) != 1 || m.Gone.Tasks[0] != (skalds.GoneTask{TaskID: id, Epoch: 3}) {
			t.Errorf("got %+v", m)
		}
	}
}

func TestPublishWhileTheBusIsAway(t *testing.T) {
	s := startServer(t)
	s.stop()
	done := make(chan error, 1)
	go func() { done <- kafka.Publish(t.Context(), s.config(), testlog.New(t), gone("a")) }()
	select {
	case err := <-done:
		t.Fatalf("published to nobody: %v", err)
	case <-time.After(2 * time.Second): // most of an outage passes
	}
	s.start()
	if err := receive(t, "the end of Publish", done); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, "a message", told(t, s)); m.Gone == nil {
		t.Errorf("got %+v", m)
	}
}

func TestPublishGivesUp(t *testing.T) {
	s := startServer(t)
	cfg := s.config()
	s.stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begun := time.Now()
	err := kafka.Publish(ctx, cfg, testlog.New(t), gone("a"))
	if skalds.CodeOf(err) != skalds.CodeUnavailable {
		t.Errorf("gave up with %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("gave up after %s", took)
	}
	if err := kafka.Publish(t.Context(), kafka.Config{}, nil, gone("a")); err == nil || skalds.CodeOf(err) == skalds.CodeUnavailable {
		t.Errorf("without a broker: %v", err)
	}
}
