package kafka

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// awayAfter is how long nothing may be answered before the bus is said to be away: a dropped connection is no news.
const awayAfter = 2 * time.Second

// health watches the connections of all clients of one end, and says once that the bus is away and once that it is back.
type health struct {
	log     hclog.Logger
	brokers string

	mu      sync.Mutex // guards all below
	failing time.Time  // since when nothing was answered; zero: the last request was
	away    bool       // we have said so
	ended   bool
}

var (
	_ kgo.HookBrokerConnect = (*health)(nil)
	_ kgo.HookBrokerE2E     = (*health)(nil)
)

// OnBrokerConnect notes that a connection could not be made.
func (h *health) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		h.note(err)
	}
}

// OnBrokerE2E notes whether a request was answered.
func (h *health) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if err := e.Err(); err != nil || !preliminary(key) {
		h.note(err)
	}
}

// preliminary reports whether a request only opens a connection: a broker that refuses us answers these as well.
func preliminary(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.ApiVersions, kmsg.SASLHandshake, kmsg.SASLAuthenticate:
		return true
	}
	return false
}

func (h *health) note(err error) {
	if errors.Is(err, context.Canceled) {
		return // ours
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
	case err == nil:
		h.failing = time.Time{}
		if h.away {
			h.away = false
			h.log.Info("the bus answers again", "brokers", h.brokers)
		}
	case h.failing.IsZero():
		h.failing = time.Now()
	case !h.away && time.Since(h.failing) > awayAfter:
		h.away = true
		h.log.Warn("the bus does not answer: trying again until it does", "brokers", h.brokers, "err", err)
	}
}

func (h *health) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
}

// outage notices, for one reader, that fetching failed and that the bus answers again.
type outage struct {
	mu             sync.Mutex // guards below
	away, returned bool
}

var _ kgo.HookBrokerE2E = (*outage)(nil)

// OnBrokerE2E notes how a request of the reader went. The first fetch after an outage may wait for a message; what the
// client asks before tells sooner that the bus is back.
func (o *outage) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case e.Err() != nil && key == kmsg.Fetch.Int16():
		o.away = true
	case e.Err() == nil && o.away && !preliminary(key):
		o.away, o.returned = false, true
	}
}

// over reports once that an outage has ended.
func (o *outage) over() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.returned
	o.returned = false
	return was
}
