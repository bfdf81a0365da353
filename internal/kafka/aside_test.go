package kafka_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/kafka"
)

// client is one of somebody else.
func client(t testing.TB, cfg kafka.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append(opts, kgo.SeedBrokers(cfg.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if cfg.User != "" {
		opts = append(opts, kgo.SASL(plain.Auth{User: cfg.User, Pass: cfg.Password}.AsMechanism()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// eachRecord gives what a topic holds and gets to f, until f says that it is enough.
func eachRecord(t testing.TB, cfg kafka.Config, topic string, enough func(r *kgo.Record) bool) {
	t.Helper()
	cl := client(t, cfg, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		for r := range cl.PollFetches(ctx).RecordsAll() {
			if enough(r) {
				return
			}
		}
	}
	t.Fatalf("%s does not hold what it should", topic)
}

// TestPoison writes what nobody can use to each topic: it is set aside with a reason, and what comes after it arrives.
func TestPoison(t *testing.T) { onEach(t, poison) }

func poison(t *testing.T, s broker) {
	c, h := controllerEnd(t, s.config()), hostEnd(t, s.config())
	ready, commands := make(chan int32, 100), make(chan skalds.NodeMessage, 1000)
	reading(t, func(ctx context.Context) error {
		return h.Commands(ctx, "n1", func(p int32) { ready <- p }, func(m skalds.NodeMessage) { commands <- m })
	})
	partition := receive(t, "ready", ready)
	reports, caught := make(chan skalds.HostMessage, 1000), make(chan struct{}, 1)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", func() { caught <- struct{}{} }, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m })
	})
	receive(t, "caught up", caught)
	alive, beats := make(chan struct{}, 1000), make(chan skalds.ShortHeartbeat, 1000)
	reading(t, func(ctx context.Context) error {
		return c.Heartbeats(ctx, func() { alive <- struct{}{} }, func(b skalds.ShortHeartbeat) { beats <- b })
	})
	receive(t, "alive", alive)
	changes := make(chan skalds.Change, 1000)
	reading(t, func(ctx context.Context) error {
		return c.Changes(ctx, "", nil, func(_ string, ch skalds.Change) { changes <- ch })
	})
	requests := make(chan skalds.TaskEvent, 1000)
	reading(t, func(ctx context.Context) error {
		return c.Requests(ctx, "", nil, func(_ string, e skalds.TaskEvent, _ string) { requests <- e })
	})
	other := client(t, s.config())
	write := func(topic string, p int32, key, value string) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Partition: p, Key: []byte(key), Value: []byte(value)}
		if err := other.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "Changes has begun", changes, func() { write(skalds.TopicChanged, 0, "t", `{"taskId":"first"}`) })
	until(t, "Requests has begun", requests, func() { write(skalds.TopicTaskCancel, 0, "t", `{"taskIds":["first"]}`) })

	want := map[string]string{} // the reason, by what was written
	spoil := func(topic string, p int32, key, value, reason string) {
		t.Helper()
		write(topic, p, key, value)
		want[topic+" "+value] = reason
	}
	spoil(skalds.TopicReport, 0, "n1", `{"nodeId":`, "it cannot be read: unexpected end of JSON input")
	spoil(skalds.TopicReport, 0, "n1", "\xff\x00", "it cannot be read: invalid character")
	spoil(skalds.TopicReport, 0, "n1", "", "it cannot be read: unexpected end of JSON input")
	spoil(skalds.TopicReport, 0, "n1", "{}", "it names no node")
	spoil(skalds.TopicHeartbeat, 0, "n1", `[1]`, "it cannot be read: json: cannot unmarshal array")
	spoil(skalds.TopicHeartbeat, 0, "n1", `{}`, "it names no node")
	spoil(skalds.TopicChanged, 0, "t", `"x"`, "it cannot be read: json: cannot unmarshal string")
	spoil(skalds.TopicCommand, partition, "n1", `no JSON`, "it cannot be read: invalid character")
	spoil(skalds.TopicCommand, partition, "n1", `{"nodeId":"n2"}`, `its key says "n1", and itself it names the node "n2"`)
	spoil(skalds.TopicTaskAssign, 0, "t", `{"taskIds":"t"}`, "it cannot be read: json: cannot unmarshal string")
	spoil(skalds.TopicTaskAssign, 1, "t", `{"title":"x"}`, "it names no task")
	spoil(skalds.TopicTaskUpdate, 0, "t", strings.Repeat("x", 300_000), "it cannot be read: invalid character")

	if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n1", Report: &skalds.Report{Seq: 7}}); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, "the report after the poison", reports); m.Report == nil || m.Report.Seq != 7 {
		t.Errorf("got %+v", m)
	}
	if err := h.Heartbeat(t.Context(), skalds.ShortHeartbeat{NodeID: "n1"}); err != nil {
		t.Fatal(err)
	}
	receive(t, "the heartbeat after the poison", beats)
	if err := c.Send(t.Context(), partition, skalds.NodeMessage{NodeID: "n1", AskHello: true}); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, "the command after the poison", commands); !m.AskHello {
		t.Errorf("got %+v", m)
	}
	until(t, "a change after the poison", changes, func() { write(skalds.TopicChanged, 0, "t", `{"taskId":"last"}`) })
	until(t, "a request after the poison", requests, func() { write(skalds.TopicTaskAssign, 0, "t", `{"taskIds":["last"]}`) })

	seen := map[string]skalds.Rejected{}
	eachRecord(t, s.config(), skalds.TopicRejected, func(r *kgo.Record) bool {
		var m skalds.Rejected
		if err := json.Unmarshal(r.Value, &m); err != nil {
			t.Errorf("set aside was %q: %v", r.Value, err)
		}
		if key := fmt.Sprintf("%s/%d/%d", m.Topic, m.Partition, m.Offset); key != string(r.Key) {
			t.Errorf("%s is under the key %s", key, r.Key)
		}
		if m.Size > len(m.Value) {
			m.Value = append(m.Value, strings.Repeat("x", m.Size-len(m.Value))...)
		}
		seen[m.Topic+" "+string(m.Value)] = m
		return len(seen) == len(want)
	})
	for what, reason := range want {
		m, ok := seen[what]
		if !ok || !strings.HasPrefix(m.Reason, reason) || m.By != "skalds" || m.At == 0 || m.Key == "" {
			t.Errorf("%.60s: set aside as %.200s, want the reason %q; all: %d", what, fmt.Sprintf("%+v", m), reason, len(slices.Collect(maps.Keys(seen))))
		}
	}
	if got := c.Rejected() + h.Rejected(); got != int64(len(want)) {
		t.Errorf("%d were counted, want %d", got, len(want))
	}
}

// until repeats something, because nobody tells when a reader has begun, and takes what has come.
func until[T any](t testing.TB, what string, from chan T, do func()) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		do()
		select {
		case <-from:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatalf("not seen within %v: %s", patience, what)
}

// TestFlood has more poison than is kept: all is counted, and what is good arrives.
func TestFlood(t *testing.T) {
	s := startServer(t)
	c, h := controllerEnd(t, s.config()), hostEnd(t, s.config())
	reports := make(chan skalds.HostMessage, 10)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", nil, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m })
	})
	if err := h.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n"}); err != nil {
		t.Fatal(err)
	}
	receive(t, "the first report", reports)
	other := client(t, s.config())
	const n = 5000
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: skalds.TopicReport, Value: []byte("poison")}
	}
	if err := other.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n"}); err != nil {
		t.Fatal(err)
	}
	receive(t, "the report after the flood", reports)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the report took %v behind %d messages that cannot be used", took, n)
	}
	if got := c.Rejected(); got != n {
		t.Errorf("%d of %d were counted", got, n)
	}
}

// TestBomb reads past messages that would fill the memory when they are unpacked.
func TestBomb(t *testing.T) {
	s := startServer(t)
	c, h := controllerEnd(t, s.config()), hostEnd(t, s.config())
	if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n"}); err != nil { // which makes the topics
		t.Fatal(err)
	}
	other := client(t, s.config(), kgo.ProducerBatchCompression(kgo.GzipCompression().WithLevel(gzip.BestCompression)),
		kgo.ProducerBatchMaxBytes(100<<20), kgo.BrokerMaxWriteBytes(200<<20))
	bomb := &kgo.Record{Topic: skalds.TopicReport, Value: bytes.Repeat([]byte("x"), 40<<20)}
	if err := other.ProduceSync(t.Context(), bomb).FirstErr(); err != nil {
		t.Fatal(err)
	}
	caught, reports := make(chan struct{}, 1), make(chan skalds.HostMessage, 10)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", func() { caught <- struct{}{} }, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m })
	})
	receive(t, "the report before the bomb", reports)
	receive(t, "caught up, with the bomb at the end", caught)
	if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n"}); err != nil {
		t.Fatal(err)
	}
	receive(t, "the report after the bomb", reports)
	if c.Rejected() != 1 {
		t.Errorf("%d were counted, want 1", c.Rejected())
	}
}
