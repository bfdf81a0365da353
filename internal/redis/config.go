package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/skalds-go/skalds"
)

// Config says how to reach the server.
type Config struct {
	Addr     string // host:port
	Password string // empty: no authentication
	DB       int    // number of the database, default 0
	// KeyTTL is how long the original's slow keys live, default 1 h (REDIS_KEY_TTL).
	KeyTTL time.Duration
	// MinReplicas is how many replicas must confirm a heartbeat before it counts; default 0. Set 1 where the server has
	// replicas that may take over, or a heartbeat that was acknowledged can be lost.
	MinReplicas int
}

// Time-outs. A beat that takes longer has failed, because the other channel may still get through in time.
const (
	beatTimeout = 500 * time.Millisecond
	readTimeout = 2 * time.Second
)

// quiet keeps go-redis from writing to stderr; its logger is one for the whole program.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func (c Config) client() *redis.Client {
	quiet()
	return redis.NewClient(&redis.Options{
		Addr:                  c.Addr,
		Password:              c.Password,
		DB:                    c.DB,
		DialTimeout:           beatTimeout,
		ReadTimeout:           readTimeout,
		WriteTimeout:          readTimeout,
		ContextTimeoutEnabled: true, // else a call outlives its context
		MaxRetries:            1,
		DialerRetries:         1,
		PoolSize:              16,
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, // a feature of one vendor's cloud; others answer it with errors
		},
	})
}

func fault(cfg Config, what string, err error) error {
	if err == nil {
		return nil
	}
	return &skalds.Error{
		Code:    skalds.CodeUnavailable,
		Message: fmt.Sprintf("%s: Redis at %s does not take part: check that it runs there and takes our password", what, cfg.Addr),
		Err:     err,
	}
}
