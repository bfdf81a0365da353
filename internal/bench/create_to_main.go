package main

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
)

// createToMain compares the time from a task's creation by REST to the first line of Main with the start of a trivial program.
func createToMain(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(200, 10)
	err = l.withStandalone(ctx, func(s *standalone) error {
		var starts, references []time.Duration
		for i := range n {
			reference, err := l.forkExec()
			if err != nil {
				return err
			}
			id := fmt.Sprintf("create-%d", i)
			asked := time.Now().Round(0) // by the wall clock, as the worker notes it
			if err := s.create(ctx, id, "finish"); err != nil {
				return err
			}
			b, err := s.began(ctx, id, 1)
			if err != nil {
				return err
			}
			if err := s.ended(ctx, id, skalds.Finished); err != nil {
				return err
			}
			starts, references = append(starts, b.at.Sub(asked)), append(references, reference)
		}
		out = []value{ratio(starts, references)}
		return nil
	})
	return out, err
}
