package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/skalds-go/skalds"
)

// topic is how a topic is made where it is missing; one that exists is taken as it is.
type topic struct {
	name         string
	partitions   int // 0: Config.Partitions
	retention    time.Duration
	segmentBytes int
	maxBytes     int // that it may hold; 0: no bound but the retention
}

// legacyPartitions is the original's KAFKA_TOPIC_PARTITIONS.
const legacyPartitions = 6

// topics lists all that the bus cannot work without. Retention is short where messages are only worth something to who listens now.
func topics() []topic {
	return []topic{
		{skalds.TopicCommand, 0, time.Hour, 4 << 20, 0},
		{skalds.TopicReport, 1, 7 * 24 * time.Hour, 16 << 20, 0},
		{skalds.TopicHeartbeat, 1, 10 * time.Minute, 2 << 20, 0},
		{skalds.TopicChanged, 1, 6 * time.Hour, 4 << 20, 0},
		{skalds.TopicTaskAssign, legacyPartitions, 24 * time.Hour, 4 << 20, 0},
		{skalds.TopicTaskCancel, legacyPartitions, 24 * time.Hour, 4 << 20, 0},
		{skalds.TopicTaskUpdate, legacyPartitions, 24 * time.Hour, 4 << 20, 0},
	}
}

// rejectedTopic is made when there is something to put into it. Everything else works without, so a user who has no right to it is
// no fault.
func rejectedTopic() topic {
	return topic{skalds.TopicRejected, 1, 7 * 24 * time.Hour, 4 << 20, 64 << 20}
}

// originalTopics are those of the Python original that controllers read, and write for its nodes.
func originalTopics() []string {
	return []string{skalds.TopicTaskAssign, skalds.TopicTaskCancel, skalds.TopicTaskUpdate}
}

func isOriginal(topic string) bool { return slices.Contains(originalTopics(), topic) }

func topicNames() []string {
	all := topics()
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = t.name
	}
	return names
}

// topicIDs are the ids, by name, of the topics that are there.
func topicIDs(have kadm.TopicDetails) map[string]string {
	ids := map[string]string{}
	for name, d := range have {
		if d.Err == nil {
			ids[name] = topicID(d.ID)
		}
	}
	return ids
}

// ensure makes the topics that are missing, once; after forget it looks again. It returns a producer for them.
func (c *conn) ensure(ctx context.Context) (*producer, error) {
	select {
	case c.ensuring <- struct{}{}:
		defer func() { <-c.ensuring }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case <-c.closed:
		return nil, errClosed
	default:
	}
	p := c.producer.Load()
	if c.ensured && p != nil {
		return p, nil
	}
	have, err := c.admin.ListTopics(ctx, topicNames()...)
	if err != nil {
		return nil, err
	}
	made := false
	for _, t := range topics() {
		if d, ok := have[t.name]; ok && d.Err == nil {
			continue
		}
		if err := c.create(ctx, t); err != nil {
			return nil, fmt.Errorf("make the topic %s: %w", t.name, err)
		}
		made = true
	}
	if made {
		if have, err = c.await(ctx); err != nil {
			return nil, err
		}
	}
	ids := topicIDs(have)
	if p != nil && !maps.Equal(ids, p.topics) {
		c.retire(p)
		p = nil
	}
	if p == nil {
		if p, err = c.newProducer(ids); err != nil {
			return nil, err
		}
		c.producer.Store(p)
	}
	c.ensured = true
	c.begun.Store(true)
	return p, nil
}

// await returns when the broker that is asked knows all topics, with a leader for each partition: brokers answer that a topic
// is made before they know it themselves.
func (c *conn) await(ctx context.Context) (kadm.TopicDetails, error) {
	for tries := 1; ; tries++ {
		have, err := c.admin.ListTopics(ctx, topicNames()...)
		if err != nil {
			return nil, err
		}
		missing := unready(have)
		if missing == nil {
			return have, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for new topics: %w", errors.Join(context.Cause(ctx), missing))
		case <-c.closed:
			return nil, errClosed
		case <-time.After(backoff(tries)):
		}
	}
}

// unready says what is still missing of topics that have been made.
func unready(have kadm.TopicDetails) error {
	for _, name := range topicNames() {
		d, ok := have[name]
		switch {
		case !ok:
			return fmt.Errorf("topic %s: %w", name, kerr.UnknownTopicOrPartition)
		case d.Err != nil:
			return fmt.Errorf("topic %s: %w", name, d.Err)
		}
		for _, p := range d.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return fmt.Errorf("topic %s, partition %d: %w", name, p.Partition, cmp.Or(p.Err, error(kerr.LeaderNotAvailable)))
			}
		}
	}
	return nil
}

func (c *conn) create(ctx context.Context, t topic) error {
	partitions := t.partitions
	if partitions == 0 {
		partitions = c.cfg.Partitions
	}
	configs := map[string]*string{
		"retention.ms":  kadm.StringPtr(strconv.FormatInt(t.retention.Milliseconds(), 10)),
		"segment.bytes": kadm.StringPtr(strconv.Itoa(t.segmentBytes)),
	}
	if t.maxBytes > 0 {
		configs["retention.bytes"] = kadm.StringPtr(strconv.Itoa(t.maxBytes))
	}
	_, err := c.admin.CreateTopic(ctx, int32(partitions), int16(c.cfg.ReplicationFactor), configs, t.name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if err == nil {
		c.log.Debug("made a topic", "topic", t.name, "partitions", partitions)
	}
	return err
}

// forget makes the next ensure look again: a topic that was there is not.
func (c *conn) forget(ctx context.Context) {
	select {
	case c.ensuring <- struct{}{}:
		c.ensured = false
		<-c.ensuring
	case <-ctx.Done():
	}
}

// gone reports whether err says that a topic is not what it was.
func gone(err error) bool {
	for _, e := range []error{kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InconsistentTopicID} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// span is what a topic holds of a partition: from Start up to, but without, End.
type span struct{ start, end int64 }

// holding is what a topic holds now.
type holding struct {
	id    string // of the topic: another one after it was made anew
	spans map[int32]span
}

// holdings lists what topics hold.
func (c *conn) holdings(ctx context.Context, names []string) (map[string]holding, error) {
	details, err := c.admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, err
	}
	starts, err := c.admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := c.admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	out := map[string]holding{}
	for _, name := range names {
		d := details[name]
		if d.Err != nil {
			return nil, d.Err
		}
		h := holding{id: topicID(d.ID), spans: map[int32]span{}}
		for p := range d.Partitions {
			s, okS := starts.Lookup(name, p)
			e, okE := ends.Lookup(name, p)
			if !okS || !okE {
				return nil, kerr.UnknownTopicOrPartition
			}
			if err := errors.Join(s.Err, e.Err); err != nil {
				return nil, err
			}
			h.spans[p] = span{s.Offset, e.Offset}
		}
		if len(h.spans) == 0 {
			return nil, kerr.UnknownTopicOrPartition
		}
		out[name] = h
	}
	return out, nil
}

// partitionOf is the partition of skalds.command that a node reads.
func partitionOf(nodeID string, partitions int) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(nodeID)) // a hash takes everything
	return int32(h.Sum32() % uint32(partitions))
}
