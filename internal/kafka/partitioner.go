package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// byKey as the partition of a message leaves it to its key, by the hash that other clients of Kafka use: all events of a task
// stay in order whoever sends them.
const byKey = -1

// partitioner takes the partition that a message names.
type partitioner struct{}

func (partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
}

type topicPartitioner struct{ hash kgo.TopicPartitioner }

func (topicPartitioner) RequiresConsistency(*kgo.Record) bool { return true }

func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition == byKey {
		return p.hash.Partition(r, n)
	}
	return int(r.Partition)
}
