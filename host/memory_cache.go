package host

import (
	"context"
	"sync"
	"time"
)

// memoryCache serves the workers of a host that has no shared cache. It forgets with the host.
type memoryCache struct {
	now func() time.Time

	mu    sync.Mutex // guards items
	items map[string]cached
	sweep time.Time // when to look for expired items next
}

type cached struct {
	value   []byte
	expires time.Time // zero: never
}

var _ Cache = (*memoryCache)(nil)

func newMemoryCache(now func() time.Time) *memoryCache {
	return &memoryCache{now: now, items: map[string]cached{}}
}

// Get implements Cache.
func (c *memoryCache) Get(_ context.Context, key string) ([]byte, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it, ok := c.items[key]
	if !ok || it.expired(c.now()) {
		return nil, false, nil
	}
	return append([]byte(nil), it.value...), true, nil
}

// Set implements Cache.
func (c *memoryCache) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	it := cached{value: append([]byte(nil), value...)}
	if ttl > 0 {
		it.expires = now.Add(ttl)
	}
	c.items[key] = it
	if now.After(c.sweep) {
		c.sweep = now.Add(time.Minute)
		for k, it := range c.items {
			if it.expired(now) {
				delete(c.items, k)
			}
		}
	}
	return nil
}

// Delete implements Cache.
func (c *memoryCache) Delete(_ context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.items, key)
	return nil
}

func (i cached) expired(now time.Time) bool { return !i.expires.IsZero() && !now.Before(i.expires) }
