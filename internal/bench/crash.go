package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// crashToNextAttempt kills the process of a fresh task and sees when Main begins again.
func crashToNextAttempt(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(50, 5)
	err = l.withStandalone(ctx, func(s *standalone) error {
		var gaps []time.Duration
		for i := range n {
			id := fmt.Sprintf("crash-%d", i)
			if err := s.create(ctx, id, "wait"); err != nil {
				return err
			}
			first, err := s.began(ctx, id, 1)
			if err != nil {
				return err
			}
			killed := time.Now().Round(0)
			if err := syscall.Kill(first.pid, syscall.SIGKILL); err != nil {
				return fmt.Errorf("kill worker %d: %w", first.pid, err)
			}
			second, err := s.began(ctx, id, 2)
			if err != nil {
				return err
			}
			gaps = append(gaps, second.at.Sub(killed))
			if _, err := s.Cancel(ctx, id); err != nil {
				return err
			}
		}
		out = []value{{value: milliseconds(quantile(gaps, 0.95)), n: n}}
		return nil
	})
	return out, err
}
