package embedded_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// TestStaleTopics sends to two topics at once that the bus does not know, as a program does that has learnt its topics from a bus
// which was emptied since.
func TestStaleTopics(t *testing.T) {
	s := start(t, t.TempDir())
	j := s.Join()
	c, err := kgo.NewClient(kgo.SeedBrokers(j.KafkaBrokers...), kgo.SASL(plain.Auth{User: j.KafkaUser, Pass: j.KafkaPassword}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	for i, name := range []string{"stale.one", "stale.two"} {
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.TopicID = name, [16]byte{byte(i + 1)}
		topic.Partitions = append(topic.Partitions, kmsg.NewProduceRequestTopicPartition())
		req.Topics = append(req.Topics, topic)
	}
	if _, err := c.Broker(0).Request(ctx, req); err != nil {
		t.Errorf("the bus does not answer: %v", err)
	}
	if err := c.Ping(ctx); err != nil {
		t.Errorf("the bus does not answer afterwards: %v", err)
	}
}
