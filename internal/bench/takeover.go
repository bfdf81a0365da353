package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// leaderKilled kills the controller that leads, of two. The worst counts.
func leaderKilled(ctx context.Context, l *lab) ([]value, error) {
	out, err := l.loseLeaders(ctx, "takeover_s", l.times(10, 1), syscall.SIGKILL)
	for i := range out {
		out[i].value /= 1000
	}
	return out, err
}

// leaderStopped asks the controller that leads to end, of two. The worst counts.
func leaderStopped(ctx context.Context, l *lab) ([]value, error) {
	return l.loseLeaders(ctx, "takeover_stop_ms", l.times(20, 2), syscall.SIGTERM)
}

// loseLeaders ends the leader n times, each time with a new controller waiting, in ms.
func (l *lab) loseLeaders(ctx context.Context, key string, n int, by syscall.Signal) (out []value, err error) {
	why, err := l.withCluster(ctx, false, func(c *cluster) error {
		leader, err := c.controller(ctx)
		if err != nil {
			return err
		}
		var gaps []time.Duration
		for i := range n {
			other, err := c.controller(ctx)
			if err != nil {
				return err
			}
			gap, err := loseLeader(ctx, leader, other, fmt.Sprintf("taken-over-%d", i), by)
			if err != nil {
				return err
			}
			gaps = append(gaps, gap)
			leader = other
		}
		fmt.Fprintf(l.notes, "%s: median %.4g ms\n", key, milliseconds(median(gaps)))
		out = []value{{value: milliseconds(quantile(gaps, 1)), n: n}}
		return nil
	})
	if why != "" {
		return []value{{leftOut: why}}, nil
	}
	return out, err
}

// loseLeader returns how long it takes from the signal until the other controller leads and a task that was created there right
// after the signal is in Main, whichever is later: one that ends in peace may still hand that task out itself.
func loseLeader(ctx context.Context, leader, other *controllerProgram, id string, by syscall.Signal) (time.Duration, error) {
	if at, leads := other.leadsAt(); leads {
		return 0, fmt.Errorf("two controllers lead: the second one since %s", at)
	}
	if err := pause(ctx, rand.N(500*time.Millisecond)); err != nil { // a leader renews its lease at such intervals
		return 0, err
	}
	lost := time.Now().Round(0) // by the wall clock, as the worker notes it
	if err := leader.cmd.Process.Signal(by); err != nil {
		return 0, fmt.Errorf("end the controller that leads: %w", err)
	}
	if err := other.create(ctx, id, "finish"); err != nil {
		return 0, err
	}
	b, err := other.began(ctx, id, 1)
	if err != nil {
		return 0, err
	}
	var led time.Time
	err = until(ctx, "the other controller leads", func() (leads bool, err error) {
		led, leads = other.leadsAt()
		return leads, other.lives()
	})
	if err != nil {
		return 0, err
	}
	if by == syscall.SIGTERM {
		err = leader.stop() // it has been asked; how it ended matters
	} else {
		leader.kill()
	}
	return max(b.at.Sub(lost), led.Round(0).Sub(lost)), err
}
