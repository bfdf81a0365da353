package main

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

const threadLimit = 64

// pidsOverLimit lets workers make 1,000 threads a second under a limit of processes and threads: how many more than the limit the
// worst one had, by a control group and by the watchdog.
func pidsOverLimit(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(10, 2)
	for _, cfg := range []plugins.LauncherConfig{asFound(), noGroups()} {
		err = l.withLauncher(ctx, cfg, func(launcher *plugins.Launcher) error {
			byGroup := cfg.Cgroups != plugins.CgroupsOff
			if why := notByGroup(launcher.Enforcement().PIDs); byGroup && why != "" {
				out = append(out, value{leftOut: why})
				return nil
			}
			worst := 0
			for range n {
				most, err := l.swarmOnce(ctx, launcher, byGroup)
				if err != nil {
					return err
				}
				worst = max(worst, most-threadLimit)
			}
			out = append(out, value{value: float64(worst), n: n})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// swarmOnce is how many threads a worker was seen to have before the limit ended it.
func (l *lab) swarmOnce(ctx context.Context, launcher *plugins.Launcher, byGroup bool) (most int, err error) {
	i, _, err := l.launchDoing(ctx, launcher, skalds.Limits{PIDs: threadLimit}, "threads")
	if err != nil {
		return 0, err
	}
	defer leave(i)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("a worker with %d threads was let live", most))
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for alive := true; alive; {
		select {
		case <-i.Done():
			alive = false
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-look.C:
		}
		if p, err := procstats.Read(i.PID()); alive && err == nil {
			most = max(most, p.Threads)
		}
	}
	st := i.Status()
	if byGroup && st.Refused == 0 || !byGroup && (st.Kill == nil || st.Kill.Limit != skalds.LimitPIDs) {
		return 0, fmt.Errorf("a worker with %d threads did not end for that: %s", most, st)
	}
	return most, nil
}
