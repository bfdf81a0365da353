package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/skalds-go/skalds"
)

// How many messages are set aside. More than that are counted only: whoever floods a topic must not fill another one, and
// what waits here must not fill the memory.
const (
	asideQueue   = 64
	asideEvery   = 100 * time.Millisecond
	asideTimeout = 30 * time.Second // for one of them while the bus is away
)

// aside sets messages that cannot be used aside in skalds.rejected, beside the reading, which goes on at once.
type aside struct {
	send   func(context.Context, ...message) error
	create func(context.Context) error // makes the topic, where it is missing
	log    hclog.Logger
	by     string

	queue   chan skalds.Rejected
	running sync.Once
	done    sync.WaitGroup
	closed  <-chan struct{}

	count atomic.Int64 // of all
	made  bool         // the topic; run alone uses it

	mu     sync.Mutex // guards below
	logged time.Time
}

func newAside(c *conn) *aside {
	return &aside{
		send: c.send, create: func(ctx context.Context) error { return c.fault("make the topic", c.create(ctx, rejectedTopic())) },
		log: c.log, by: c.cfg.ClientID, queue: make(chan skalds.Rejected, asideQueue), closed: c.closed,
	}
}

// Rejected is how many messages this end could not use since it was set up. Safe for concurrent use.
func (c *conn) Rejected() int64 { return c.aside.count.Load() }

// put never waits.
func (a *aside) put(r *kgo.Record, reason error) {
	n := a.count.Add(1)
	if a.speaks() {
		a.log.Warn("a message of the bus cannot be used: it is set aside in "+skalds.TopicRejected,
			"topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "err", reason, "rejected", n)
	}
	m := skalds.Rejected{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: strings.ToValidUTF8(string(r.Key[:min(len(r.Key), 1024)]), "�"),
		Reason: shorten(reason.Error()), Size: len(r.Value), Value: append([]byte(nil), r.Value[:min(len(r.Value), skalds.MaxRejectedBytes)]...), By: a.by,
	}
	if !r.Timestamp.IsZero() {
		m.At = r.Timestamp.UnixMilli()
	}
	select {
	case a.queue <- m:
	default:
	}
	a.running.Do(func() { a.done.Go(a.run) })
}

// shorten bounds a reason, which may quote what it is about.
func shorten(reason string) string {
	const most = 1000
	if len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") + " …"
	}
	return reason
}

// speaks reports whether it is time for a line in the log: one per second is enough.
func (a *aside) speaks() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.logged.IsZero() && time.Since(a.logged) < time.Second {
		return false
	}
	a.logged = time.Now()
	return true
}

// run sends what was put, until the bus is closed. Two ends that reject the same message write it under the same key.
func (a *aside) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-a.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-a.queue:
			a.keep(ctx, m)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(asideEvery):
		}
	}
}

// keep tries for asideTimeout.
func (a *aside) keep(ctx context.Context, m skalds.Rejected) {
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	key := m.Topic + "/" + strconv.Itoa(int(m.Partition)) + "/" + strconv.FormatInt(m.Offset, 10)
	for tries := 1; ; tries++ {
		var err error
		if !a.made {
			err = a.create(ctx)
		}
		if err == nil {
			err = a.send(ctx, message{skalds.TopicRejected, 0, key, &m})
		}
		a.made = err == nil
		switch {
		case err == nil:
			return
		case refusesUs(err) || skalds.CodeOf(err) != skalds.CodeUnavailable || ctx.Err() != nil:
			if !errors.Is(err, errClosed) && a.speaks() {
				a.log.Warn("a message could not be set aside: it is left where it is", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "err", err)
			}
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff(tries)):
		}
	}
}

// wait returns when nothing is being set aside any more; the bus has to be closed before.
func (a *aside) wait() {
	a.running.Do(func() {}) // and is not begun any more
	a.done.Wait()
}

type faultKey struct{}

// withFault marks a record that the client could not read.
func withFault(err error) context.Context {
	return context.WithValue(context.Background(), faultKey{}, err)
}

// decode reads a message; nil, and the message set aside, where it is none of ours. check says what is wrong with one that can
// be read; may be nil.
func decode[T any](c *conn, r *kgo.Record, check func(*T) error) *T {
	if r.Context != nil {
		if err, ok := r.Context.Value(faultKey{}).(error); ok {
			c.aside.put(r, err)
			return nil
		}
	}
	v := new(T)
	err := json.Unmarshal(r.Value, v)
	if err != nil {
		err = fmt.Errorf("it cannot be read: %w", err)
	} else if check != nil {
		err = check(v)
	}
	if err != nil {
		c.aside.put(r, err)
		return nil
	}
	return v
}

var (
	errNoNode = errors.New("it names no node")
	errNoTask = errors.New("it names no task")
)

func namesNode(id string) error {
	if id == "" {
		return errNoNode
	}
	return nil
}
