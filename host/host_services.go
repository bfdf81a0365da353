package host

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// defaultCacheTTL holds where a worker names none.
const defaultCacheTTL = time.Hour

// hostServices is what one instance can ask of its host. It belongs to one attempt: once that is over, or another epoch
// has taken over, every write fails with protocol.ErrFenced. Writes in flight finish before revoke returns.
type hostServices struct {
	task        string
	node        string
	attempt     int
	epoch       func() int64
	cache       Cache
	checkpoints checkpoints
	secrets     secrets
	outcome     func(skalds.Outcome)

	mu      sync.RWMutex // held for reading by writes; guards revoked
	revoked bool
}

var _ protocol.HostServices = (*hostServices)(nil)

// revoke ends the right to write.
func (h *hostServices) revoke() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revoked = true
}

// write runs fn while the right to write holds.
func (h *hostServices) write(fn func() error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.revoked {
		return protocol.ErrFenced
	}
	return fn()
}

func (h *hostServices) key(key string) string { return h.task + "/" + key }

// CacheGet implements protocol.HostServices.
func (h *hostServices) CacheGet(ctx context.Context, key string) ([]byte, bool, error) {
	return h.cache.Get(ctx, h.key(key))
}

// CacheSet implements protocol.HostServices.
func (h *hostServices) CacheSet(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if len(value) > protocol.MaxCacheValue {
		return fmt.Errorf("set %q: %d bytes are more than the %d a cache value may have", key, len(value), protocol.MaxCacheValue)
	}
	if ttl <= 0 {
		ttl = defaultCacheTTL
	}
	return h.write(func() error { return h.cache.Set(ctx, h.key(key), value, ttl) })
}

// CacheDelete implements protocol.HostServices.
func (h *hostServices) CacheDelete(ctx context.Context, key string) error {
	return h.write(func() error { return h.cache.Delete(ctx, h.key(key)) })
}

// ReportArtifact implements protocol.HostServices.
func (h *hostServices) ReportArtifact(_ context.Context, a protocol.Artifact) error {
	if err := a.Check(); err != nil { // a worker in another language may not have
		return err
	}
	return h.write(func() error {
		epoch := h.epoch()
		h.outcome(skalds.Outcome{
			OutcomeKey: skalds.OutcomeKey{TaskID: h.task, Epoch: epoch, Attempt: h.attempt, Kind: skalds.OutcomeArtifact, Name: a.Path},
			Artifact: &skalds.Artifact{
				TaskID: h.task, Node: h.node, Epoch: epoch, Kind: a.Kind, Path: a.Path,
				StartedAt: unixMilli(a.StartedAt), EndedAt: unixMilli(a.EndedAt),
				Bytes: a.Bytes, Duration: a.Duration.Milliseconds(), EndReason: a.EndReason, Meta: a.Meta,
			},
		})
		return nil
	})
}

// SaveCheckpoint implements protocol.HostServices.
func (h *hostServices) SaveCheckpoint(_ context.Context, state []byte) error {
	if len(state) > protocol.MaxCheckpoint {
		return fmt.Errorf("save checkpoint: %d bytes are more than the %d allowed", len(state), protocol.MaxCheckpoint)
	}
	return h.write(func() error { return h.checkpoints.save(h.task, state) })
}

// LoadCheckpoint implements protocol.HostServices.
func (h *hostServices) LoadCheckpoint(context.Context) ([]byte, bool, error) {
	return h.checkpoints.load(h.task)
}

// Secret implements protocol.HostServices.
func (h *hostServices) Secret(_ context.Context, name string) (string, error) {
	return h.secrets.read(name)
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
