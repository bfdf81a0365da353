package kafka_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/skalds-go/skalds"
)

// TestEventsForPythonNodes reads events as the Python original does: it takes the task's id from the key and the value as JSON.
func TestEventsForPythonNodes(t *testing.T) {
	s := startServer(t)
	c := controllerEnd(t, s.config())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, e := range []struct {
		id string
		at int64
	}{{"a", 7}, {"b", 7}, {"a", 8}} {
		long := skalds.TaskEvent{TaskIDs: []string{e.id}, CreateDateTime: e.at, Title: strings.Repeat("worth compressing ", 100)}
		if err := c.PublishEvent(ctx, skalds.TopicTaskAssign, e.id, long); err != nil {
			t.Fatal(err)
		}
	}
	cfg := s.config()
	r, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.SASL(plain.Auth{User: cfg.User, Pass: cfg.Password}.AsMechanism()),
		kgo.ConsumeTopics(skalds.TopicTaskAssign), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := map[string][]int64{}
	places := map[string]int32{}
	for n := 0; n < 3; {
		fetches := r.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			n++
			var e struct {
				Initiator      string   `json:"initiator"`
				TaskIDs        []string `json:"taskIds"`
				CreateDateTime int64    `json:"createDateTime"`
			}
			if err := json.Unmarshal(rec.Value, &e); err != nil {
				t.Fatal(err)
			}
			id := string(rec.Key)
			if kind := rec.Attrs.CompressionType(); kind != 0 {
				t.Errorf("%s: compressed by kind %d, which a Python node may not have", id, kind)
			}
			if e.Initiator != skalds.Initiator || len(e.TaskIDs) != 1 || e.TaskIDs[0] != id {
				t.Errorf("%s: %s", id, rec.Value)
			}
			if p, ok := places[id]; ok && p != rec.Partition {
				t.Errorf("events of task %s lie on partitions %d and %d: their order is lost", id, p, rec.Partition)
			}
			places[id] = rec.Partition
			got[id] = append(got[id], e.CreateDateTime)
		})
	}
	if len(got["a"]) != 2 || got["a"][0] != 7 || got["a"][1] != 8 || len(got["b"]) != 1 {
		t.Errorf("got %v", got)
	}
}
