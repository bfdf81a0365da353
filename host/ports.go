package host

import (
	"context"
	"time"

	"github.com/skalds-go/skalds"
)

// The ports of the host, declared here because it is their user.

// Bus connects a host with the controllers.
type Bus interface {
	// Commands lists the end of the node's partition of skalds.command, calls ready with the partition that it reads, then
	// calls fn for every message addressed to the node, in order, until ctx ends. No offsets are kept. After a
	// reconnection in which messages may have been missed, ready is called again: say hello then.
	Commands(ctx context.Context, nodeID string, ready func(partition int32), fn func(skalds.NodeMessage)) error
	// Report sends messages and returns when the bus has them durably, in order. Those that can never be sent are left out and
	// named by a *skalds.UnsendableError; any other error means that nothing is known of any of them.
	Report(ctx context.Context, msgs ...skalds.HostMessage) error
	// Heartbeat sends a short heartbeat and returns when it is acknowledged.
	Heartbeat(ctx context.Context, h skalds.ShortHeartbeat) error
	Ping(ctx context.Context) error
	Close() error
}

// HeartbeatStore takes the full heartbeat.
type HeartbeatStore interface {
	// Beat writes the heartbeat and the original's keys (skalds:hash, task:<id>:heartbeat, …) in one round trip.
	Beat(ctx context.Context, h skalds.Heartbeat, ttl time.Duration) error
	// PeekSeq returns (incarnation, seq) of the latest heartbeat under the id; found is false where there is none.
	PeekSeq(ctx context.Context, nodeID string) (incarnation, seq int64, found bool, err error)
	// TaskEnded writes the original's last value of a task: 200, -1 or -2, and its exception.
	TaskEnded(ctx context.Context, taskID string, state skalds.State, exception string) error
	Ping(ctx context.Context) error
	Close() error
}

// Cache is the small shared memory that workers reach through HostServices, keyed "<task>/<key>" by the host.
type Cache interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
}
