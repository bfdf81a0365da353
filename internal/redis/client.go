package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Time-outs. A beat that takes longer has failed, because the other channel may still get through in time.
const (
	beatTimeout = 500 * time.Millisecond
	readTimeout = 2 * time.Second
	poolSize    = 16 // connections with each server, at most
)

// quiet keeps go-redis from writing to stderr; its logger is one for the whole program.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// client connects when it is first used.
func (c Config) client() redis.UniversalClient {
	quiet()
	notifications := &maintnotifications.Config{
		Mode: maintnotifications.ModeDisabled, // a feature of one vendor's cloud; others answer it with errors
	}
	if c.Cluster {
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: c.addrs(), Dialer: c.dial, Username: c.Username, Password: c.Password,
			DialTimeout: beatTimeout, ReadTimeout: readTimeout, WriteTimeout: readTimeout,
			ContextTimeoutEnabled: true, DialerRetries: 1, PoolSize: poolSize, DisableIdentity: true,
			MaintNotificationsConfig: notifications,
		})
	}
	return redis.NewClient(&redis.Options{
		Addr: c.Addr, Dialer: c.dial, Username: c.Username, Password: c.Password, DB: c.DB,
		DialTimeout: beatTimeout, ReadTimeout: readTimeout, WriteTimeout: readTimeout,
		ContextTimeoutEnabled:    true, // else a call outlives its context
		MaxRetries:               1,
		DialerRetries:            1,
		PoolSize:                 poolSize,
		DisableIdentity:          true,
		MaintNotificationsConfig: notifications,
	})
}

func closeClient(c redis.UniversalClient) error {
	if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections with Redis: %w", err)
	}
	return nil
}
