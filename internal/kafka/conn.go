package kafka

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/skalds-go/skalds"
)

// errClosed is what calls get after Close.
var errClosed = errors.New("the bus is closed")

// conn is what both ends of the bus share: a client that asks, one that sends, and as many as are needed to read.
type conn struct {
	cfg    Config
	log    hclog.Logger
	asker  *kgo.Client
	admin  *kadm.Client // asks by asker
	health *health
	aside  *aside

	ensuring chan struct{} // holds one token: guards ensured, and the setting up of a producer
	ensured  bool
	begun    atomic.Bool              // the topics were there once
	producer atomic.Pointer[producer] // nil: none is set up

	close  sync.Once
	closed chan struct{}
}

func newConn(cfg Config, log hclog.Logger) (*conn, error) {
	cfg = cfg.withDefaults()
	if err := errors.Join(cfg.validate(), cfg.readCA()); err != nil {
		return nil, fmt.Errorf("set up the bus: %w", err)
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	c := &conn{cfg: cfg, log: log.Named("kafka"), ensuring: make(chan struct{}, 1), closed: make(chan struct{})}
	c.health = &health{log: c.log, brokers: strings.Join(cfg.Brokers, ",")}
	var err error
	if c.asker, err = kgo.NewClient(append(cfg.options(), kgo.WithHooks(c.health), kgo.Dialer(c.dial))...); err != nil {
		return nil, fmt.Errorf("set up the bus: %w", err)
	}
	c.admin = kadm.NewClient(c.asker)
	c.aside = newAside(c)
	return c, nil
}

// Ping asks a broker.
func (c *conn) Ping(ctx context.Context) error {
	return c.fault("ask the bus", c.asker.Ping(ctx))
}

// Close ends all readers and gives up what is being sent. Safe to call twice.
func (c *conn) Close() error {
	c.close.Do(func() {
		close(c.closed)
		c.health.end()
		c.asker.Close() // who asks is told that there is no answer
		c.aside.wait()
		c.ensuring <- struct{}{} // nobody sets up a producer any more
		if p := c.producer.Swap(nil); p != nil {
			p.Close()
		}
		<-c.ensuring
	})
	return nil
}

// message is one thing to be sent.
type message struct {
	topic     string
	partition int32 // or byKey
	key       string
	value     any
}

// send returns when all brokers that must have the messages have them. Messages that can never be sent hold up no others: they
// are named by a *skalds.UnsendableError, once the others are there.
func (c *conn) send(ctx context.Context, msgs ...message) error {
	records := make([]*kgo.Record, 0, len(msgs))
	var unsendable []skalds.Unsendable
	for i, m := range msgs {
		b, err := m.encode()
		if err != nil {
			unsendable = append(unsendable, skalds.Unsendable{Index: i, Err: err})
			continue
		}
		records = append(records, &kgo.Record{Topic: m.topic, Partition: m.partition, Key: []byte(m.key), Value: b})
	}
	if len(records) > 0 {
		if err := c.deliver(ctx, records); err != nil {
			return err
		}
	}
	if len(unsendable) > 0 {
		return &skalds.UnsendableError{Messages: unsendable}
	}
	return nil
}

func (m message) encode() ([]byte, error) {
	b, err := json.Marshal(m.value)
	if err != nil {
		return nil, fmt.Errorf("write a message for %s on %s: %w", m.key, m.topic, err)
	}
	if len(b) > skalds.MaxBusMessageBytes {
		return nil, skalds.Errorf(skalds.CodeTooLarge, "a message for %s on %s has %d bytes, at most %d are allowed: pass large data by reference",
			m.key, m.topic, len(b), skalds.MaxBusMessageBytes)
	}
	return b, nil
}

// deliver sends records again until the bus has them or ctx ends.
func (c *conn) deliver(ctx context.Context, records []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	for tries := 1; ; tries++ {
		p, err := c.ensure(ctx)
		if err != nil {
			return c.fault("send", err)
		}
		left, err := p.produce(ctx, records)
		if !curable(err) || ctx.Err() != nil {
			return c.fault("send", err)
		}
		// What was not taken is sent again, in order.
		records = left
		if gone(err) {
			c.forget(ctx)
			p.purge(records)
		}
		select {
		case <-ctx.Done():
			return c.fault("send", err)
		case <-c.closed:
			return c.fault("send", err)
		case <-time.After(backoff(tries)):
		}
	}
}

// fault says where the bus should be, and what to look at.
func (c *conn) fault(what string, err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-c.closed:
		err = errors.Join(errClosed, err)
	default:
	}
	if !c.begun.Load() && timedOut(err) {
		return &skalds.Error{
			Code:    skalds.CodeUnavailable,
			Message: fmt.Sprintf("%s: the bus at %s has not answered yet: see whether Kafka runs there, and can be reached from here; the topics of a new one are made first", what, c.health.brokers),
			Err:     fmt.Errorf("%w: %w", skalds.ErrBusNew, err),
		}
	}
	return &skalds.Error{
		Code:    skalds.CodeUnavailable,
		Message: fmt.Sprintf("%s: the bus at %s %s", what, c.health.brokers, advice(err)),
		Err:     err,
	}
}

// advice tells a bus that is away from one that knows nobody and from one that answers and fails. A full disk is what it
// fails of most: Kafka then says KAFKA_STORAGE_ERROR, the embedded bus UNKNOWN_SERVER_ERROR.
func advice(err error) string {
	var answer *kerr.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return "shows a certificate that cannot be trusted: check KAFKA_CA_FILE, and the name or address of the broker"
	case !errors.As(err, &answer) && timedOut(err):
		return "has not answered in time: see whether Kafka runs there, and can be reached from here"
	case !errors.As(err, &answer):
		return "does not take part: check that Kafka runs there and takes our user and password"
	case errors.Is(answer, kerr.InvalidReplicationFactor):
		return "has too few brokers for new topics: check KAFKA_REPLICATION_FACTOR"
	case refusesUs(answer):
		return "refuses us: check our user and password, and what they may do there"
	case errors.Is(answer, kerr.UnknownServerError), errors.Is(answer, kerr.KafkaStorageError), errors.Is(answer, kerr.LogDirNotFound):
		return "runs, but cannot store messages: check whether its disk is full, and its log"
	}
	return "runs, but does not do it: its log says more"
}

// timedOut reports whether nobody has answered, which says nothing of users and passwords.
func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// refusesUs reports whether a broker has answered that we may not do it.
func refusesUs(err error) bool {
	for _, e := range []error{
		kerr.SaslAuthenticationFailed, kerr.IllegalSaslState, kerr.UnsupportedSaslMechanism,
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.SecurityDisabled,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
