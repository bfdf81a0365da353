package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
)

func TestServicesSurviveTheirJSON(t *testing.T) {
	want := services{
		kafka: kafka.Config{
			Brokers: []string{"one:9092", "two:9092"}, User: "u", Password: "p", Mechanism: "SCRAM-SHA-512", TLS: true, CAFile: "/ca.pem", ClientID: "c",
			Partitions: 3, ReplicationFactor: 2,
		},
		redis: redis.Config{
			Addr: "three:6379,four:6379", Username: "r", Password: "q", TLS: true, CAFile: "/ca.pem", Cluster: true, MinReplicas: 1, KeyTTL: time.Minute,
		},
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got services
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(services{}), cmpopts.IgnoreUnexported(kafka.Config{})); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

// TestTellHostGone tells of many tasks with the longest ids that there are, by services that have been JSON.
func TestTellHostGone(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Config{DataDir: t.TempDir(), Log: testlog.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	b, err := json.Marshal(joined(s.Join()))
	if err != nil {
		t.Fatal(err)
	}
	var at services
	if err := json.Unmarshal(b, &at); err != nil {
		t.Fatal(err)
	}
	const many = 2000
	tell := tellHostGone(t.Context(), at, "n", 7)
	var want []skalds.GoneTask
	for i := range many {
		want = append(want, skalds.GoneTask{TaskID: strings.Repeat("<", 123) + fmt.Sprintf("%05d", i), Epoch: int64(i + 1)})
	}
	if err := tell(nil, true); err != nil {
		t.Fatal(err)
	}
	if err := tell(want, false); err != nil {
		t.Fatal(err)
	}

	bus, err := kafka.NewControllerBus(at.kafka, testlog.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := bus.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []skalds.GoneTask
	first := true
	err = bus.Reports(ctx, "", nil, func(_ context.Context, m skalds.HostMessage, _ string) {
		if m.NodeID != "n" || m.Incarnation != 7 || m.Gone == nil || m.Gone.Silent != first {
			t.Errorf("got %+v", m)
			cancel()
			return
		}
		if first && len(m.Gone.Tasks) != 0 {
			t.Errorf("the word that names no task has %d", len(m.Gone.Tasks))
		}
		first = false
		if got = append(got, m.Gone.Tasks...); len(got) >= many {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-told +heard):\n%s", diff)
	}
}

func TestTellHostGoneFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := services{kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}}
	if err := tellHostGone(ctx, at, "n", 7)(nil, false); err == nil || !strings.Contains(err.Error(), "node n") {
		t.Errorf("told nobody: %v", err)
	}
}
