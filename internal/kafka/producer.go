package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"
)

// errOtherBus is why a producer gets no connection: the topics there are not those that it was set up for.
var errOtherBus = errors.New("the topics have been made anew")

// producer is a client that sends, for the topics as they were when it was set up.
//
// Brokers recognise repeats by the id of the producer and its own count of messages. A bus that has lost its memory gives out
// the same ids again: two producers of one id would have messages taken for repeats of each other's, and acknowledged
// without being kept. So a producer asks on every new connection, before it sends, whether the topics are still the same,
// and ends where they are not. What it had under way is sent again by its successor.
type producer struct {
	*kgo.Client
	topics map[string]string // ids by name
}

func (c *conn) newProducer(topics map[string]string) (*producer, error) {
	p := &producer{topics: topics}
	compression := []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.NoCompression()}
	if c.cfg.uncompressed {
		compression = compression[1:]
	}
	var err error
	// A send can be given up while it is under way (the id then begins a new epoch): a heartbeat is given 500 ms.
	p.Client, err = kgo.NewClient(append(c.cfg.options(),
		kgo.WithHooks(c.health),
		kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			return c.dialProducer(ctx, p, network, addr)
		}),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(sendTimeout),
		kgo.ProduceRequestTimeout(sendTimeout),
		kgo.RecordPartitioner(partitioner{}),
		kgo.ProducerBatchCompression(compression...),
	)...)
	if err != nil {
		return nil, fmt.Errorf("set up a producer: %w", err)
	}
	return p, nil
}

// dialProducer connects first and asks then: a bus that is emptied later drops the connection.
func (c *conn) dialProducer(ctx context.Context, p *producer, network, addr string) (net.Conn, error) {
	connection, err := c.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	have, err := c.admin.ListTopics(asking, topicNames()...)
	if err == nil && !maps.Equal(topicIDs(have), p.topics) {
		err = errOtherBus
		go c.retire(p) // which waits for this to end
	}
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return connection, nil
}

func (c *conn) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialTimeout}
	if c.cfg.encryption == nil {
		return d.DialContext(ctx, network, addr)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return (&tls.Dialer{NetDialer: d, Config: c.cfg.encryption}).DialContext(ctx, network, addr)
}

// retire ends a producer, if it is still the one in use; the next send sets up another.
func (c *conn) retire(p *producer) {
	if c.producer.CompareAndSwap(p, nil) {
		c.log.Warn("the topics of the bus have been made anew: what was under way is sent again", "brokers", c.health.brokers)
		p.Close()
	}
}

// produce returns the records that the bus has not taken, and the first reason.
func (p *producer) produce(ctx context.Context, records []*kgo.Record) (left []*kgo.Record, err error) {
	type result struct {
		i   int
		err error
	}
	results := make(chan result, len(records))
	for i, r := range records {
		p.Produce(ctx, r, func(_ *kgo.Record, err error) { results <- result{i, err} })
	}
	failed := make([]error, len(records))
	for range records {
		select {
		case r := <-results:
			failed[r.i] = r.err
		case <-ctx.Done(): // the client notices later, or never while the bus is away
			return nil, context.Cause(ctx)
		}
	}
	for i, e := range failed {
		if e == nil {
			continue
		}
		r := records[i]
		left = append(left, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value})
		if err == nil || curable(err) {
			err = e // what cannot be cured by sending again counts
		}
	}
	return left, err
}

// purge makes the client learn anew of the topics of records.
func (p *producer) purge(records []*kgo.Record) {
	names := make([]string, len(records))
	for i, r := range records {
		names[i] = r.Topic
	}
	p.PurgeTopicsFromProducing(names...)
}

// curable reports whether sending again helps: topics were made anew, or are not known everywhere yet, or others have given
// up: with the first message to a partition that is given up, all that wait behind it fail.
func curable(err error) bool {
	return gone(err) || errors.Is(err, errOtherBus) || errors.Is(err, kgo.ErrClientClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrRecordTimeout)
}
