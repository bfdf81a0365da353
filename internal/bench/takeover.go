package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// takeover is how long it takes from the end of a leader until another one leads, and until a task that was created there right after
// that end is in Main.
type takeover struct{ led, main time.Duration }

// leaderKilled kills the controller that leads, of two. The worst counts, of both times.
func leaderKilled(ctx context.Context, l *lab) ([]value, error) {
	n := l.times(10, 1)
	all, why, err := l.loseLeaders(ctx, n, syscall.SIGKILL)
	if err != nil || why != "" {
		return []value{{leftOut: why}}, err
	}
	var gaps []time.Duration
	for _, t := range all {
		gaps = append(gaps, max(t.led, t.main))
	}
	fmt.Fprintf(l.notes, "takeover_s: median %.3g s\n", median(gaps).Seconds())
	return []value{{value: quantile(gaps, 1).Seconds(), n: n}}, nil
}

// leaderStopped asks the controller that leads to end, of two. The worst counts. Which of the two hands out the task is open.
func leaderStopped(ctx context.Context, l *lab) ([]value, error) {
	n := l.times(20, 2)
	all, why, err := l.loseLeaders(ctx, n, syscall.SIGTERM)
	if err != nil || why != "" {
		return []value{{leftOut: why}, {leftOut: why}}, err
	}
	var led, main []time.Duration
	for _, t := range all {
		led, main = append(led, t.led), append(main, t.main)
	}
	fmt.Fprintf(l.notes, "takeover_stop_ms: median %.3g ms, to Main %.3g ms\n", milliseconds(median(led)), milliseconds(median(main)))
	return []value{{value: milliseconds(quantile(led, 1)), n: n}, {value: milliseconds(quantile(main, 1)), n: n}}, nil
}

// loseLeaders ends the leader n times, each time with a new controller waiting. why says why there can be no cluster.
func (l *lab) loseLeaders(ctx context.Context, n int, by syscall.Signal) (all []takeover, why string, err error) {
	why, err = l.withCluster(ctx, false, func(c *cluster) error {
		leader, err := c.controller(ctx)
		if err != nil {
			return err
		}
		for i := range n {
			other, err := c.controller(ctx)
			if err != nil {
				return err
			}
			t, err := loseLeader(ctx, leader, other, fmt.Sprintf("taken-over-%d", i), by)
			if err != nil {
				return err
			}
			all = append(all, t)
			leader = other
		}
		return nil
	})
	return all, why, err
}

func loseLeader(ctx context.Context, leader, other *controllerProgram, id string, by syscall.Signal) (t takeover, err error) {
	if at, leads := other.leadsAt(); leads {
		return t, fmt.Errorf("two controllers lead: the second one since %s", at)
	}
	if err := pause(ctx, rand.N(500*time.Millisecond)); err != nil { // a leader renews its lease at such intervals
		return t, err
	}
	lost := time.Now().Round(0) // by the wall clock, as the worker notes it
	if err := leader.cmd.Process.Signal(by); err != nil {
		return t, fmt.Errorf("end the controller that leads: %w", err)
	}
	if err := other.create(ctx, id, "finish"); err != nil {
		return t, err
	}
	b, err := other.began(ctx, id, 1)
	if err != nil {
		return t, err
	}
	t.main = b.at.Sub(lost)
	err = until(ctx, "the other controller leads", func() (bool, error) {
		at, leads := other.leadsAt()
		t.led = at.Round(0).Sub(lost)
		return leads, other.lives()
	})
	if err != nil {
		return t, err
	}
	if by == syscall.SIGKILL {
		leader.kill()
		return t, nil
	}
	return t, leader.stop() // it has been asked; how it ended matters
}
