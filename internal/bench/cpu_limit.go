package main

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
)

// cpuOverLimit lets workers spin on all processors under a CPU limit: how many points of a core the worst one used beyond it, by
// control groups, and where there are none by stopping and continuing.
func cpuOverLimit(ctx context.Context, l *lab) (out []value, err error) {
	err = l.withLauncher(ctx, asFound(), func(launcher *plugins.Launcher) error {
		if why := notByGroup(launcher.Enforcement().CPU); why != "" {
			out = append(out, value{leftOut: why})
			return nil
		}
		v, err := l.cpuBeyond(ctx, launcher)
		out = append(out, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	cfg, on := noGroups(), true
	cfg.CPUDutyCycle = &on
	err = l.withLauncher(ctx, cfg, func(launcher *plugins.Launcher) error {
		if m := launcher.Enforcement().CPU.Mechanism; m != skalds.MechanismDutyCycle {
			out = append(out, value{leftOut: fmt.Sprintf("the launcher knows no duty cycle here, but: %s", m)})
			return nil
		}
		v, err := l.cpuBeyond(ctx, launcher)
		out = append(out, v)
		return err
	})
	return out, err
}

func (l *lab) cpuBeyond(ctx context.Context, launcher *plugins.Launcher) (value, error) {
	limits, window := []float64{0.25, 0.5, 0.75}, 5*time.Second
	if l.short {
		limits, window = []float64{0.5}, time.Second
	}
	worst := 0.0
	for _, cores := range limits {
		used, err := l.spinOnce(ctx, launcher, cores, window)
		if err != nil {
			return value{}, err
		}
		fmt.Fprintf(l.notes, "cpu limit by %s: %.3f of %g cores used in %s\n", launcher.Enforcement().CPU.Mechanism, used, cores, window)
		worst = max(worst, 100*(used-cores))
	}
	return value{value: worst, n: len(limits)}, nil
}

// spinOnce is how many cores a spinning worker uses under a limit.
func (l *lab) spinOnce(ctx context.Context, launcher *plugins.Launcher, cores float64, window time.Duration) (float64, error) {
	i, _, err := l.launchDoing(ctx, launcher, skalds.Limits{CPUCores: cores}, "spin")
	if err != nil {
		return 0, err
	}
	defer leave(i)
	if err := pause(ctx, time.Second/2); err != nil { // what it did not use before it span
		return 0, err
	}
	return coresUsed(ctx, i.PID(), window)
}
