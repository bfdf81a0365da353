package kafka

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/host"
)

var _ host.Bus = (*HostBus)(nil)

// HostBus is a host's end of the bus.
type HostBus struct{ *conn }

// NewHostBus sets up a host's end; it connects when it is first used. A nil log is silent.
func NewHostBus(cfg Config, log hclog.Logger) (*HostBus, error) {
	c, err := newConn(cfg, log)
	if err != nil {
		return nil, err
	}
	return &HostBus{c}, nil
}

// Commands calls fn for every message to the node from now on, and ready whenever something may have been missed.
func (b *HostBus) Commands(ctx context.Context, nodeID string, ready func(partition int32), fn func(skalds.NodeMessage)) error {
	var partition int32
	return b.follow(ctx, reading{
		topics: []string{skalds.TopicCommand},
		begin: func(held map[string]holding) map[string]map[int32]int64 {
			h := held[skalds.TopicCommand]
			partition = partitionOf(nodeID, len(h.spans))
			ready(partition) // what is sent from here on is read: the end is known
			return map[string]map[int32]int64{skalds.TopicCommand: {partition: h.spans[partition].end}}
		},
		record: func(r *kgo.Record) {
			if string(r.Key) != nodeID {
				return // of another node that shares the partition
			}
			if m := decode(b.conn, r, func(m *skalds.NodeMessage) error { return isFor(m, nodeID) }); m != nil {
				fn(*m)
			}
		},
		resumed: func() { ready(partition) },
	})
}

// Report sends messages and returns when the bus has them.
func (b *HostBus) Report(ctx context.Context, msgs ...skalds.HostMessage) error {
	out := make([]message, len(msgs))
	for i := range msgs {
		out[i] = message{skalds.TopicReport, 0, msgs[i].NodeID, &msgs[i]}
	}
	return b.send(ctx, out...)
}

// Heartbeat sends a short heartbeat.
func (b *HostBus) Heartbeat(ctx context.Context, h skalds.ShortHeartbeat) error {
	return b.send(ctx, message{skalds.TopicHeartbeat, 0, h.NodeID, &h})
}

func isFor(m *skalds.NodeMessage, nodeID string) error {
	if m.NodeID != nodeID {
		return fmt.Errorf("its key says %q, and itself it names the node %q", nodeID, m.NodeID)
	}
	return nil
}
