package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/embedded"
)

// standalone is a running `skalds standalone`.
type standalone struct {
	site
	*program
}

// withStandalone gives fn a fresh one with a node that is online, and stops it. It has the defaults, but for flags.
func (l *lab) withStandalone(ctx context.Context, fn func(*standalone) error, flags ...string) (err error) {
	room, err := l.room()
	if err != nil {
		return err
	}
	s := &standalone{site: site{dir: filepath.Join(room, "data")}}
	args := []string{"standalone", "--data-dir", s.dir, "--listen", "127.0.0.1:0", "--plugins", l.plugins(), "--log-level", "WARNING"}
	if s.program, err = l.run(ctx, "standalone", room, nil, append(args, flags...)...); err != nil {
		return err
	}
	defer func() {
		if s.Client != nil {
			_ = s.Close() // idle connections
		}
		if err = errors.Join(err, s.stop()); err != nil {
			s.tell(l)
		}
	}()
	if err := s.connect(ctx); err != nil {
		return err
	}
	return fn(s)
}

// connect waits until REST answers and the node can be given tasks.
func (s *standalone) connect(ctx context.Context) error {
	return until(ctx, "standalone answers and its node offers the worker", func() (bool, error) {
		if err := s.lives(); err != nil {
			return false, err
		}
		if s.Client == nil {
			j, err := embedded.ReadJoin(s.dir)
			if err != nil || j.Server == "" {
				return false, nil
			}
			s.Client = client.New(j.Server, j.Token)
		}
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		workers, err := s.Workers(short)
		return err == nil && slices.ContainsFunc(workers.Items, func(w controller.WorkerOnNodes) bool { return w.Name == workerName && len(w.Nodes) > 0 }), nil
	})
}
