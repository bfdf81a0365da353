package main

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
)

// coldLaunch compares a launch up to the answer of the first RPC with the start of a trivial program, without control groups.
func coldLaunch(ctx context.Context, l *lab) (out []value, err error) {
	err = l.withLauncher(ctx, noGroups(), func(launcher *plugins.Launcher) error {
		v, err := l.coldLaunches(ctx, launcher, skalds.Limits{})
		out = []value{v}
		return err
	})
	return out, err
}

// allLimits are never reached by what is launched with them.
func allLimits() skalds.Limits {
	return skalds.Limits{MemoryBytes: 256 << 20, CPUCores: 1, PIDs: 256}
}

// coldLaunchInGroup is the same with limits that control groups hold, first by those of version 1, then by those of version 2:
// a machine has one or the other.
func coldLaunchInGroup(ctx context.Context, l *lab) (out []value, err error) {
	err = l.withLauncher(ctx, asFound(), func(launcher *plugins.Launcher) error {
		e := launcher.Enforcement()
		for _, wanted := range []skalds.Mechanism{skalds.MechanismCgroup1, skalds.MechanismCgroup2} {
			if e.Memory.Mechanism != wanted || e.CPU.Mechanism != wanted || e.PIDs.Mechanism != wanted {
				out = append(out, value{leftOut: fmt.Sprintf("here hold memory %s, cpu %s, pids %s", e.Memory.Mechanism, e.CPU.Mechanism, e.PIDs.Mechanism)})
				continue
			}
			v, err := l.coldLaunches(ctx, launcher, allLimits())
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	return out, err
}

func (l *lab) coldLaunches(ctx context.Context, launcher *plugins.Launcher, limits skalds.Limits) (value, error) {
	n := l.times(200, 10)
	var launches, references []time.Duration
	for range n {
		reference, err := l.forkExec()
		if err != nil {
			return value{}, err
		}
		took, err := l.timeLaunch(ctx, launcher, limits)
		if err != nil {
			return value{}, err
		}
		launches, references = append(launches, took), append(references, reference)
	}
	return ratio(launches, references), nil
}

// timeLaunch is one launch, which is ended again.
func (l *lab) timeLaunch(ctx context.Context, launcher *plugins.Launcher, limits skalds.Limits) (time.Duration, error) {
	start := time.Now()
	i, err := l.launch(ctx, launcher, limits)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	leave(i)
	return took, nil
}

// ratio compares medians.
func ratio(measured, references []time.Duration) value {
	r := median(references)
	return value{value: float64(median(measured)) / float64(r), reference: r, n: len(measured)}
}
