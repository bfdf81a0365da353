package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// hostServicesFromEnv connects to the host's socket; a host that offers none leaves a worker with the local ones.
func hostServicesFromEnv(token string) (protocol.HostServices, error) {
	socket := os.Getenv(protocol.EnvHostSocket)
	if socket == "" {
		return newLocalServices("", nil), nil
	}
	return protocol.DialHostServices(socket, token)
}

// localServices serve a worker that runs without a host: a cache in memory, a checkpoint file in the data folder, secrets
// from the environment (SKALDS_SECRET_<NAME>).
type localServices struct {
	dir      string
	artifact func(protocol.Artifact)

	mu    sync.Mutex // guards cache
	cache map[string]localEntry
}

type localEntry struct {
	value   []byte
	expires time.Time
}

var _ protocol.HostServices = (*localServices)(nil)

func newLocalServices(dir string, artifact func(protocol.Artifact)) *localServices {
	return &localServices{dir: dir, artifact: artifact, cache: map[string]localEntry{}}
}

func (l *localServices) CacheGet(_ context.Context, key string) ([]byte, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.cache[key]
	if !ok || time.Now().After(e.expires) {
		delete(l.cache, key)
		return nil, false, nil
	}
	return e.value, true, nil
}

func (l *localServices) CacheSet(_ context.Context, key string, value []byte, ttl time.Duration) error {
	if len(value) > protocol.MaxCacheValue {
		return fmt.Errorf("%w: value of %d bytes is larger than the %d allowed", protocol.ErrRefused, len(value), protocol.MaxCacheValue)
	}
	if ttl <= 0 {
		ttl = time.Hour
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cache[key] = localEntry{append([]byte(nil), value...), time.Now().Add(ttl)}
	return nil
}

func (l *localServices) CacheDelete(_ context.Context, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.cache, key)
	return nil
}

func (l *localServices) ReportArtifact(_ context.Context, a protocol.Artifact) error {
	if l.artifact != nil {
		l.artifact(a)
	}
	return nil
}

func (l *localServices) checkpointFile() (string, error) {
	if l.dir == "" {
		return "", errors.New("no data folder: pass --data-dir")
	}
	return filepath.Join(l.dir, ".checkpoint"), nil
}

func (l *localServices) SaveCheckpoint(_ context.Context, state []byte) error {
	if len(state) > protocol.MaxCheckpoint {
		return fmt.Errorf("%w: checkpoint of %d bytes is larger than the %d allowed", protocol.ErrRefused, len(state), protocol.MaxCheckpoint)
	}
	path, err := l.checkpointFile()
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, state, 0o600); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return os.Rename(tmp, path)
}

func (l *localServices) LoadCheckpoint(context.Context) ([]byte, bool, error) {
	path, err := l.checkpointFile()
	if err != nil {
		return nil, false, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	return b, err == nil, err
}

func (l *localServices) Secret(_ context.Context, name string) (string, error) {
	if v, ok := os.LookupEnv("SKALDS_SECRET_" + name); ok {
		return v, nil
	}
	return "", fmt.Errorf("secret %s is unknown: set the environment variable SKALDS_SECRET_%s", name, name)
}
