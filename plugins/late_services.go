package plugins

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// lateServices are the host's services for a process that has no task yet: what it asks before it has one is refused.
type lateServices struct {
	given atomic.Pointer[protocol.HostServices]
}

var _ protocol.HostServices = (*lateServices)(nil)

var errNoTask = errors.New("this process has no task yet")

// give says what they are from now on.
func (l *lateServices) give(s protocol.HostServices) { l.given.Store(&s) }

func (l *lateServices) get() (protocol.HostServices, error) {
	if p := l.given.Load(); p != nil && *p != nil {
		return *p, nil
	}
	return nil, errNoTask
}

func (l *lateServices) CacheGet(ctx context.Context, key string) ([]byte, bool, error) {
	s, err := l.get()
	if err != nil {
		return nil, false, err
	}
	return s.CacheGet(ctx, key)
}

func (l *lateServices) CacheSet(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.CacheSet(ctx, key, value, ttl)
}

func (l *lateServices) CacheDelete(ctx context.Context, key string) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.CacheDelete(ctx, key)
}

func (l *lateServices) ReportArtifact(ctx context.Context, a protocol.Artifact) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.ReportArtifact(ctx, a)
}

func (l *lateServices) SaveCheckpoint(ctx context.Context, state []byte) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.SaveCheckpoint(ctx, state)
}

func (l *lateServices) LoadCheckpoint(ctx context.Context) ([]byte, bool, error) {
	s, err := l.get()
	if err != nil {
		return nil, false, err
	}
	return s.LoadCheckpoint(ctx)
}

func (l *lateServices) Secret(ctx context.Context, name string) (string, error) {
	s, err := l.get()
	if err != nil {
		return "", err
	}
	return s.Secret(ctx, name)
}
