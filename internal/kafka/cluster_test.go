package kafka_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/skalds-go/skalds"
)

// TestBrokerDies kills each of three brokers in turn while reports are sent: none that was acknowledged is lost, they stay in order,
// and only those that were told to be given up, and were sent again, may be there twice.
func TestBrokerDies(t *testing.T) {
	r := startBrokers(t, 3)
	cfg := r.config()
	cfg.ReplicationFactor = 3
	c, h := controllerEnd(t, cfg), hostEnd(t, cfg)
	ready, commands := make(chan int32, 1000), make(chan skalds.NodeMessage, 10_000)
	reading(t, func(ctx context.Context) error {
		return h.Commands(ctx, "n1", func(p int32) { ready <- p }, func(m skalds.NodeMessage) { commands <- m })
	})
	partition := receive(t, "ready", ready)
	reports := make(chan int64, 100_000)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", nil, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m.Report.Seq })
	})
	asked := kadm.NewClient(client(t, cfg))
	seq, worst, again := int64(0), time.Duration(0), map[int64]bool{}
	tell := func(n int) {
		t.Helper()
		deadline := time.Now().Add(3 * patience)
		for range n {
			begun := time.Now()
			for err := errors.New("not sent"); err != nil; again[seq] = err != nil || again[seq] {
				if err = h.Report(t.Context(), skalds.HostMessage{NodeID: "n1", Report: &skalds.Report{Seq: seq}}); err != nil && time.Now().After(deadline) {
					t.Fatal(err)
				}
			}
			worst = max(worst, time.Since(begun))
			seq++
		}
	}
	for _, name := range r.brokers {
		inSync(t, asked)
		tell(100)
		worst = 0
		r.Signal(name, syscall.SIGKILL)
		tell(300)
		t.Logf("%s was killed: the longest wait for an acknowledgement was %v", name, worst.Round(time.Millisecond))
		for err := errors.New("not sent"); err != nil && t.Context().Err() == nil; {
			err = c.Send(t.Context(), partition, skalds.NodeMessage{NodeID: "n1", AskHello: true})
		}
		receive(t, "a command while "+name+" is away", commands)
		r.Start(name)
	}
	tell(100)
	for want := int64(0); want < seq; {
		switch got := receive(t, "every report", reports); {
		case got == want:
			want++
		case got != want-1 || !again[got]:
			t.Fatalf("report %d came, want %d of %d", got, want, seq)
		}
	}
	t.Logf("%d reports, of which %d were given up once and sent again", seq, len(slices.DeleteFunc(slices.Collect(maps.Values(again)), func(b bool) bool { return !b })))
}

// inSync waits until all replicas of our topics have what their leaders have.
func inSync(t testing.TB, asked *kadm.Client) {
	t.Helper()
	for end := time.Now().Add(3 * patience); time.Now().Before(end); {
		have, err := asked.ListTopics(t.Context(), skalds.TopicReport, skalds.TopicCommand, skalds.TopicHeartbeat)
		behind := 0
		have.EachPartition(func(p kadm.PartitionDetail) {
			if p.Err != nil || len(p.ISR) < 3 {
				behind++
			}
		})
		if err == nil && behind == 0 && len(have) == 3 {
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("the replicas do not come together")
}
