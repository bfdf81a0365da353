package kafka

import (
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// health watches the connections of all clients of one end, and says once that the bus is away and once that it is back.
type health struct {
	log     hclog.Logger
	brokers string

	mu    sync.Mutex // guards all below
	away  bool
	ended bool
}

var (
	_ kgo.HookBrokerConnect = (*health)(nil)
	_ kgo.HookBrokerE2E     = (*health)(nil)
)

// OnBrokerConnect notes whether a connection could be made.
func (h *health) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		h.note(err)
	}
}

// OnBrokerE2E notes whether a request was answered.
func (h *health) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) { h.note(e.Err()) }

func (h *health) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
	case err != nil && !h.away:
		h.away = true
		h.log.Warn("the bus does not answer: trying again until it does", "brokers", h.brokers, "err", err)
	case err == nil && h.away:
		h.away = false
		h.log.Info("the bus answers again", "brokers", h.brokers)
	}
}

func (h *health) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
}

// outage notices, for one reader, that fetching failed and that it works again.
type outage struct {
	mu             sync.Mutex // guards below
	away, returned bool
}

var _ kgo.HookBrokerE2E = (*outage)(nil)

// OnBrokerE2E notes how a fetch went.
func (o *outage) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if key != kmsg.Fetch.Int16() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case e.Err() != nil:
		o.away = true
	case o.away:
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
