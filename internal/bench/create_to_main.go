package main

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
)

// createToMain compares the time from a task's creation by REST to the first line of Main with the start of a trivial program,
// with a process that was kept ready for each.
func createToMain(ctx context.Context, l *lab) (out []value, err error) {
	err = l.withStandalone(ctx, func(s *standalone) error {
		if _, _, err := l.createOnce(ctx, &s.site, "first"); err != nil { // the pool learns what is asked for
			return err
		}
		out, err = l.creations(ctx, &s.site, l.poolRests)
		return err
	})
	return out, err
}

// createToMainCold is the same where no process is kept ready.
func createToMainCold(ctx context.Context, l *lab) (out []value, err error) {
	err = l.withStandalone(ctx, func(s *standalone) error {
		out, err = l.creations(ctx, &s.site, func(context.Context) error { return nil })
		return err
	}, "--warm-workers", "0")
	return out, err
}

func (l *lab) creations(ctx context.Context, s *site, prepare func(context.Context) error) ([]value, error) {
	n := l.times(200, 10)
	var starts, references []time.Duration
	for i := range n {
		if err := prepare(ctx); err != nil {
			return nil, err
		}
		took, reference, err := l.createOnce(ctx, s, fmt.Sprintf("create-%d", i))
		if err != nil {
			return nil, err
		}
		starts, references = append(starts, took), append(references, reference)
	}
	return []value{ratio(starts, references)}, nil
}

func (l *lab) createOnce(ctx context.Context, s *site, id string) (took, reference time.Duration, err error) {
	if reference, err = l.forkExec(); err != nil {
		return 0, 0, err
	}
	asked := time.Now().Round(0) // by the wall clock, as the worker notes it
	if err := s.create(ctx, id, "finish"); err != nil {
		return 0, 0, err
	}
	b, err := s.began(ctx, id, 1)
	if err != nil {
		return 0, 0, err
	}
	return b.at.Sub(asked), reference, s.ended(ctx, id, skalds.Finished)
}
