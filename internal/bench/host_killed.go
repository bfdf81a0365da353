package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/skalds-go/skalds/controller"
)

// hostKilled kills a host that has joined a standalone, and does not come back, and sees when its task's Main begins on the
// standalone's own node. The worst counts.
func hostKilled(ctx context.Context, l *lab) ([]value, error) {
	return l.loseHosts(ctx, "host_killed_to_running_s", l.times(20, 2), func(host *os.Process) (func(), error) { return func() {}, host.Kill() })
}

// loseHosts is one experiment: a new host each time. lose ends it, and returns what clears away after it.
func (l *lab) loseHosts(ctx context.Context, key string, n int, lose func(host *os.Process) (after func(), err error), flags ...string) (out []value, err error) {
	err = l.withStandalone(ctx, func(s *standalone) error {
		own, err := ownNode(ctx, s)
		if err != nil {
			return err
		}
		var gaps []time.Duration
		for i := range n {
			gap, err := l.loseHost(ctx, s, own, i, lose, flags)
			if err != nil {
				return err
			}
			gaps = append(gaps, gap)
		}
		fmt.Fprintf(l.notes, "%s: median %.3g s\n", key, median(gaps).Seconds())
		out = []value{{value: quantile(gaps, 1).Seconds(), n: n}}
		return nil
	}, flags...)
	return out, err
}

// loseHost is one round: another host joins, gets a task, and is lost.
func (l *lab) loseHost(ctx context.Context, s *standalone, own string, round int, lose func(*os.Process) (func(), error), flags []string) (gap time.Duration, err error) {
	node, id := fmt.Sprintf("lost-%d", round), fmt.Sprintf("moves-%d", round)
	room, err := l.room()
	if err != nil {
		return 0, err
	}
	dir := filepath.Join(room, "data")
	defer func() { err = errors.Join(err, clearAfter(ctx, dir)) }()
	host, err := l.run(ctx, "host "+node, room, nil, append([]string{
		"host", "--mode", "node", "--join", filepath.Join(s.dir, "join.json"), "--data-dir", dir,
		"--plugins", l.plugins(), "--node-id", node, "--log-level", "WARNING",
	}, flags...)...)
	if err != nil {
		return 0, err
	}
	defer func() {
		host.kill()
		if err != nil {
			host.tell(l)
		}
	}()
	err = until(ctx, "node "+node+" offers the worker", func() (bool, error) {
		if err := host.lives(); err != nil {
			return false, err
		}
		workers, err := s.Workers(ctx)
		return slices.ContainsFunc(workers.Items, func(w controller.WorkerOnNodes) bool { return slices.Contains(w.Nodes, node) }), err
	})
	if err != nil {
		return 0, err
	}
	if _, err := s.Cordon(ctx, own); err != nil { // the task goes to the other one
		return 0, err
	}
	if err := s.create(ctx, id, "wait"); err != nil {
		return 0, err
	}
	if _, err := beganIn(ctx, dir, id, 1); err != nil {
		return 0, err
	}
	if _, err := s.Uncordon(ctx, own); err != nil {
		return 0, err
	}
	lost := time.Now().Round(0) // by the wall clock, as the worker notes it
	after, err := lose(host.cmd.Process)
	defer after() // before the host is killed, and what is left of it
	if err != nil {
		return 0, fmt.Errorf("lose host %d: %w", host.cmd.Process.Pid, err)
	}
	b, err := s.began(ctx, id, 1)
	if err != nil {
		return 0, err
	}
	_, err = s.Cancel(ctx, id)
	return b.at.Sub(lost), err
}

// ownNode is the name of a standalone's own node, as soon as it has been heard.
func ownNode(ctx context.Context, s *standalone) (string, error) {
	for {
		nodes, err := s.Nodes(ctx, "", "online")
		if err != nil {
			return "", err
		}
		if len(nodes.Items) == 1 {
			return nodes.Items[0].ID, nil
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
