package main

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// freezeTree is how long it takes to freeze a tree of 30 processes, and from the thaw until its worker answers an RPC: by SIGSTOP,
// and by a control group.
func freezeTree(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(50, 3)
	for _, cfg := range []plugins.LauncherConfig{noGroups(), asFound()} {
		err = l.withLauncher(ctx, cfg, func(launcher *plugins.Launcher) error {
			i, _, err := l.growTree(ctx, launcher)
			if err != nil {
				return err
			}
			defer leave(i)
			var freezes, resumes []time.Duration
			for range n {
				start := time.Now()
				if err := i.Freeze(ctx); err != nil {
					return err
				}
				freezes = append(freezes, time.Since(start))
				p, err := procstats.Read(i.PID())
				if err != nil {
					return err
				}
				if stopped := p.State == 'T'; stopped && cfg.Cgroups != plugins.CgroupsOff {
					why := value{leftOut: "no control group freezes here, SIGSTOP does"}
					out = append(out, why, why)
					return nil
				}
				start = time.Now()
				i.Thaw(ctx)
				if err := firstCall(ctx, i.Worker()); err != nil {
					return fmt.Errorf("after a thaw: %w", err)
				}
				resumes = append(resumes, time.Since(start))
			}
			out = append(out, value{value: milliseconds(median(freezes)), n: n}, value{value: milliseconds(median(resumes)), n: n})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// frozenCPU is how much of a core a spinning worker uses while it is frozen, by either way. The worse one counts.
func frozenCPU(ctx context.Context, l *lab) (out []value, err error) {
	window := time.Second
	if l.short {
		window /= 10
	}
	worst, ways := 0.0, []plugins.LauncherConfig{noGroups(), asFound()}
	for _, cfg := range ways {
		err = l.withLauncher(ctx, cfg, func(launcher *plugins.Launcher) error {
			i, _, err := l.launchDoing(ctx, launcher, skalds.Limits{}, "spin")
			if err != nil {
				return err
			}
			defer leave(i)
			if err := i.Freeze(ctx); err != nil {
				return err
			}
			cores, err := coresUsed(ctx, i.PID(), window)
			worst = max(worst, cores)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return []value{{value: worst, n: len(ways)}}, nil
}
