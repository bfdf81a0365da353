package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// publishTimeout is how long Publish tries while the bus is away.
const publishTimeout = 10 * time.Second

// Publish tells controllers something for a process that has no end of the bus: it connects, returns when the bus has the
// messages or publishTimeout is over, and leaves nothing open. Messages may arrive twice. A nil log is silent.
func Publish(ctx context.Context, cfg Config, log hclog.Logger, msgs ...skalds.HostMessage) error {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, fmt.Errorf("not within %s", publishTimeout))
	defer cancel()
	for tries := 1; ; tries++ {
		err := publishOnce(ctx, cfg, log, msgs)
		if skalds.CodeOf(err) != skalds.CodeUnavailable || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(backoff(tries)):
		}
	}
}

// publishOnce uses connections of its own: after an outage new ones are sooner there than old ones are given up.
func publishOnce(ctx context.Context, cfg Config, log hclog.Logger, msgs []skalds.HostMessage) error {
	b, err := NewHostBus(cfg, log)
	if err != nil {
		return err
	}
	return errors.Join(b.Report(ctx, msgs...), b.Close())
}
