package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/skalds-go/skalds"
)

// TestNewTopics makes the topics from many ends at once, each of which uses them at once: a real broker answers that a topic
// is made before it knows the topic itself.
func TestNewTopics(t *testing.T) {
	r := startReal(t)
	const partitions = 7
	cfg := r.config()
	cfg.Partitions = partitions

	many := cfg
	many.ReplicationFactor = 3
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err := hostEnd(t, many).Report(ctx, skalds.HostMessage{NodeID: "n"})
	if !errors.Is(err, skalds.ErrUnavailable) || !strings.Contains(err.Error(), "KAFKA_REPLICATION_FACTOR") {
		t.Errorf("three replicas on one broker: %v, want the setting to be named", err)
	}

	const ends = 8
	done := make(chan error, ends)
	for i := range ends {
		h, c := hostEnd(t, cfg), controllerEnd(t, cfg)
		go func() {
			node := fmt.Sprintf("n%d", i)
			done <- errors.Join(h.Report(t.Context(), skalds.HostMessage{NodeID: node}), c.Send(t.Context(), partitions-1, skalds.NodeMessage{NodeID: node}),
				c.PublishEvent(t.Context(), skalds.TopicTaskAssign, node, skalds.TaskEvent{TaskIDs: []string{node}}))
		}()
	}
	for range ends {
		if err := receive(t, "the topics", done); err != nil {
			t.Error(err)
		}
	}

	asked := kadm.NewClient(client(t, cfg))
	have, err := asked.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]int{
		skalds.TopicCommand: partitions, skalds.TopicReport: 1, skalds.TopicHeartbeat: 1, skalds.TopicChanged: 1,
		skalds.TopicTaskAssign: 6, skalds.TopicTaskCancel: 6, skalds.TopicTaskUpdate: 6,
	} {
		d := have[topic]
		if len(d.Partitions) != want || d.Partitions.NumReplicas() != 1 {
			t.Errorf("%s has %d partitions with %d replicas, want %d and 1", topic, len(d.Partitions), d.Partitions.NumReplicas(), want)
		}
	}
	ends2, err := asked.ListEndOffsets(t.Context(), skalds.TopicReport)
	if o, ok := ends2.Lookup(skalds.TopicReport, 0); err != nil || !ok || o.Offset != ends {
		t.Errorf("%s holds %d messages, want %d: %v", skalds.TopicReport, o.Offset, ends, err)
	}

	// One that exists is taken as it is, and nodes read what it has.
	other := r.config()
	other.Partitions = 64
	ready := make(chan int32, 10)
	h := hostEnd(t, other)
	reading(t, func(ctx context.Context) error {
		return h.Commands(ctx, "n1", func(p int32) { ready <- p }, func(skalds.NodeMessage) {})
	})
	if p := receive(t, "ready", ready); p < 0 || p >= partitions {
		t.Errorf("the node announces partition %d of %d", p, partitions)
	}

	// One that is deleted while it is used is made anew.
	reports := make(chan string, 1000)
	c := controllerEnd(t, cfg)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", nil, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m.NodeID })
	})
	for range ends {
		receive(t, "the reports from before", reports)
	}
	if _, err := asked.DeleteTopic(t.Context(), skalds.TopicReport); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := h.Report(t.Context(), skalds.HostMessage{NodeID: fmt.Sprintf("after-%d", i)}); err != nil {
			t.Errorf("after the topic was deleted: %v", err)
		}
	}
	for receive(t, "a report on the topic that was made anew", reports) != "after-2" {
	}
}
