package redis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds/host"
)

var _ host.Cache = (*Cache)(nil)

// Cache is the memory that workers share across nodes.
type Cache struct {
	cfg    Config
	client redis.UniversalClient
}

// NewCache connects when it is first used.
func NewCache(cfg Config) *Cache { return &Cache{cfg: cfg, client: cfg.client()} }

func cacheKey(key string) string { return "skalds:cache:" + key }

// Get reads a value.
func (c *Cache) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	value, err = c.client.Get(ctx, cacheKey(key)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fault(c.cfg, "read from the cache", err)
	}
	return value, true, nil
}

// Set keeps a value for ttl; 0 keeps it until it is deleted.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if ttl > 0 {
		ttl = max(ttl, time.Millisecond)
	}
	return fault(c.cfg, "write to the cache", c.client.Set(ctx, cacheKey(key), value, max(ttl, 0)).Err())
}

// Delete removes a value; one that is not there is no error.
func (c *Cache) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return fault(c.cfg, "delete from the cache", c.client.Del(ctx, cacheKey(key)).Err())
}

// Close drops the connections. Safe to call twice.
func (c *Cache) Close() error { return closeClient(c.client) }
