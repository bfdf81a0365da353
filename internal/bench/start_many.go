package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// startMany creates 200 tasks at once and sees when the last of them is in Main, and how many of them were not at the first
// attempt, or not at all.
func startMany(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(200, 20)
	err = l.withStandalone(ctx, func(s *standalone) error {
		ids := make([]string, n)
		start := time.Now().Round(0) // by the wall clock, as workers note it
		var creating errgroup.Group
		for i := range n {
			ids[i] = fmt.Sprintf("many-%d", i)
			creating.Go(func() error { return s.create(ctx, ids[i], "wait") })
		}
		if err := creating.Wait(); err != nil {
			return err
		}
		waiting, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not all run within %s", patience))
		defer cancel()
		last, failures := start, 0
		for _, id := range ids {
			b, err := s.began(waiting, id, 1)
			if err != nil && ctx.Err() != nil {
				return err
			}
			runs, listErr := s.Attempts(ctx, id)
			if listErr != nil {
				return listErr
			}
			if err != nil || len(runs) > 1 || len(runs) == 1 && runs[0].Exit != nil {
				fmt.Fprintf(l.notes, "start_200_failures: %s: %d attempts, %v\n", id, len(runs), err)
				failures++
			}
			if b.at.After(last) {
				last = b.at
			}
		}
		out = []value{{value: last.Sub(start).Seconds(), n: n}, {value: float64(failures), n: n}}
		return nil
	})
	return out, err
}
