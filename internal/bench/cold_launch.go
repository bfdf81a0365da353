package main

import (
	"context"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
)

// coldLaunch compares a launch up to the answer of the first RPC with the start of a trivial program.
func coldLaunch(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(200, 10)
	err = l.withLauncher(ctx, func(launcher *plugins.Launcher) error {
		var launches, references []time.Duration
		for range n {
			reference, err := l.forkExec()
			if err != nil {
				return err
			}
			start := time.Now()
			i, err := l.launch(ctx, launcher, skalds.Limits{})
			took := time.Since(start)
			if err != nil {
				return err
			}
			leave(i)
			launches, references = append(launches, took), append(references, reference)
		}
		out = []value{ratio(launches, references)}
		return nil
	})
	return out, err
}

// ratio compares medians.
func ratio(measured, references []time.Duration) value {
	r := median(references)
	return value{value: float64(median(measured)) / float64(r), reference: r, n: len(measured)}
}
