package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// reading is one reader's wish. All functions are called from one goroutine.
type reading struct {
	topics []string
	// begin chooses the places to start from. It is called again where the bus has lost them.
	begin func(held map[string]holding) map[string]map[int32]int64
	// record takes one message.
	record func(r *kgo.Record)
	// round is called after every poll, at least every interval; may be nil.
	round    func()
	interval time.Duration
	// resumed is called when fetching works again after it did not; may be nil.
	resumed func()
}

// pollInterval is how often a reader without an interval of its own looks up from its fetches.
const pollInterval = 250 * time.Millisecond

// maxBatch is how many bytes messages that were compressed together may have; ours are compressed by nobody.
const maxBatch = 32 << 20

var errTooMuch = fmt.Errorf("unpacked, it and those that were compressed with it have more than %d MiB", maxBatch>>20)

// follow reads until ctx ends or the bus is closed, through every outage.
func (c *conn) follow(ctx context.Context, r reading) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-c.closed:
			cancel(errClosed)
		case <-ctx.Done():
		}
	}()
	said := false
	for tries := 1; ; tries++ {
		began := time.Now()
		err := c.session(ctx, r)
		if ctx.Err() != nil {
			if errors.Is(context.Cause(ctx), errClosed) {
				return errClosed
			}
			return nil
		}
		switch {
		case refusesUs(err) && !said:
			c.log.Warn("the bus does not let us read: trying again until it does", "topics", r.topics, "err", err)
			said = true
		default:
			c.log.Debug("reading starts anew", "topics", r.topics, "err", err)
		}
		if gone(err) {
			c.forget(ctx)
		}
		if time.Since(began) > maxBackoff {
			tries, said = 1, false
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff(tries)):
		}
	}
}

// session reads from the places that begin has chosen until something makes it choose anew.
func (c *conn) session(ctx context.Context, r reading) error {
	listing, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if _, err := c.ensure(listing); err != nil {
		return err
	}
	held, err := c.holdings(listing, r.topics)
	if err != nil {
		return fmt.Errorf("list offsets: %w", err)
	}
	places := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range r.begin(held) {
		places[topic] = map[int32]kgo.Offset{}
		for p, offset := range partitions {
			places[topic][p] = kgo.NewOffset().At(offset)
		}
	}
	broken := &outage{}
	client, err := kgo.NewClient(append(c.cfg.options(),
		kgo.WithHooks(c.health, broken),
		kgo.Dialer(c.dial),
		kgo.MaxDecompressBatchBytes(maxBatch),
		kgo.ConsumePartitions(places),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.KeepRetryableFetchErrors(),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMinBytes(1),
	)...)
	if err != nil {
		return fmt.Errorf("set up a reader: %w", err)
	}
	defer client.Close()
	return r.poll(ctx, client, broken)
}

func (r reading) poll(ctx context.Context, client *kgo.Client, broken *outage) error {
	interval := r.interval
	if interval == 0 {
		interval = pollInterval
	}
	for {
		c, cancel := context.WithTimeout(ctx, interval)
		fetches := client.PollFetches(c)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if broken.over() && r.resumed != nil {
			r.resumed()
		}
		var lost error
		fetches.EachError(func(_ string, _ int32, err error) {
			if tooLarge := (*kgo.ErrDecompressTooLarge)(nil); errors.As(err, &tooLarge) {
				r.skip(client, tooLarge)
				return
			}
			if gone(err) || errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kgo.ErrClientClosed) || isDataLoss(err) {
				lost = err
			}
		})
		fetches.EachRecord(r.record)
		if lost != nil {
			return lost
		}
		if r.round != nil {
			r.round()
		}
	}
}

// skip goes on after messages that would not fit into memory, as if they were one that cannot be read.
func (r reading) skip(client *kgo.Client, e *kgo.ErrDecompressTooLarge) {
	client.SetOffsets(map[string]map[int32]kgo.EpochOffset{e.Topic: {e.Partition: {Epoch: e.Epoch, Offset: e.NextOffset}}})
	r.record(&kgo.Record{Topic: e.Topic, Partition: e.Partition, Offset: e.NextOffset - 1, Context: withFault(errTooMuch)})
}

// isDataLoss reports whether the log that is read was cut behind us.
func isDataLoss(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.As(err, &loss)
}
