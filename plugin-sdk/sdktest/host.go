package sdktest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// Host is a host's services in memory. It is safe for concurrent use. One Host may serve several tasks in turn, as a node
// does for the attempts of one task.
type Host struct {
	mu         sync.Mutex // guards everything below
	cache      map[string][]byte
	ttls       map[string]time.Duration
	secrets    map[string]string
	artifacts  []protocol.Artifact
	checkpoint []byte
	fenced     bool
}

var _ protocol.HostServices = (*Host)(nil)

// NewHost makes a host with these secrets; nil is none.
func NewHost(secrets map[string]string) *Host {
	return &Host{cache: map[string][]byte{}, ttls: map[string]time.Duration{}, secrets: maps.Clone(secrets)}
}

// Artifacts lists what tasks have reported, in order; a path reported again is listed once, with the last report.
func (h *Host) Artifacts() []protocol.Artifact {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.artifacts)
}

// Checkpoint is the state last saved, nil if none.
func (h *Host) Checkpoint() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.checkpoint)
}

// Cached is a value of the cache with the time to live that it was set with.
func (h *Host) Cached(key string) (value []byte, ttl time.Duration, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.cache[key]
	return slices.Clone(v), h.ttls[key], ok
}

// Fence makes every later write fail with protocol.ErrFenced, as after the task was handed to another node.
func (h *Host) Fence() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fenced = true
}

func (h *Host) write(fn func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fenced {
		return protocol.ErrFenced
	}
	fn()
	return nil
}

// CacheGet implements protocol.HostServices.
func (h *Host) CacheGet(_ context.Context, key string) ([]byte, bool, error) {
	v, _, found := h.Cached(key)
	return v, found, nil
}

// CacheSet implements protocol.HostServices.
func (h *Host) CacheSet(_ context.Context, key string, value []byte, ttl time.Duration) error {
	return h.write(func() { h.cache[key], h.ttls[key] = slices.Clone(value), ttl })
}

// CacheDelete implements protocol.HostServices.
func (h *Host) CacheDelete(_ context.Context, key string) error {
	return h.write(func() { delete(h.cache, key) })
}

// ReportArtifact implements protocol.HostServices.
func (h *Host) ReportArtifact(_ context.Context, a protocol.Artifact) error {
	return h.write(func() {
		i := slices.IndexFunc(h.artifacts, func(b protocol.Artifact) bool { return b.Path == a.Path })
		if i < 0 {
			h.artifacts = append(h.artifacts, a)
		} else {
			h.artifacts[i] = a
		}
	})
}

// SaveCheckpoint implements protocol.HostServices.
func (h *Host) SaveCheckpoint(_ context.Context, state []byte) error {
	return h.write(func() { h.checkpoint = append([]byte{}, state...) })
}

// LoadCheckpoint implements protocol.HostServices.
func (h *Host) LoadCheckpoint(context.Context) ([]byte, bool, error) {
	state := h.Checkpoint()
	return state, state != nil, nil
}

// Secret implements protocol.HostServices.
func (h *Host) Secret(_ context.Context, name string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.secrets[name]
	if !ok {
		return "", fmt.Errorf("no such secret: %s", name)
	}
	return v, nil
}
