package main

import (
	"context"
	"time"

	"github.com/skalds-go/skalds/plugins"
)

// warmLaunch compares a launch that takes a process which was kept ready, up to the answer of the first RPC, with the start of a
// trivial program. It has limits, which have to be given to the process.
func warmLaunch(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(200, 10)
	cfg := asFound()
	cfg.Warm = plugins.WarmConfig{Processes: 1}
	err = l.withLauncher(ctx, cfg, func(launcher *plugins.Launcher) error {
		if _, err := l.timeLaunch(ctx, launcher, allLimits()); err != nil { // the pool learns what is asked for
			return err
		}
		var launches, references []time.Duration
		for range n {
			if err := until(ctx, "a process is ready", func() (bool, error) { return launcher.Warm() > 0, nil }); err != nil {
				return err
			}
			reference, err := l.forkExec()
			if err != nil {
				return err
			}
			took, err := l.timeLaunch(ctx, launcher, allLimits())
			if err != nil {
				return err
			}
			launches, references = append(launches, took), append(references, reference)
		}
		out = []value{ratio(launches, references)}
		return nil
	})
	return out, err
}
