package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/cgroup"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// samplingRound is the CPU time of one round over 500 workers that sleep, as a launcher does it: one look at the process
// table for all, then each tree. The rare rounds that read PSS have their share. Then the same with each worker in a control
// group, whose clock is read, too.
func samplingRound(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(500, 50)
	dir, err := l.room()
	if err != nil {
		return nil, err
	}
	pids, kill, err := l.sleepers(dir, n)
	var grouped sleepingGroups
	defer func() { err = errors.Join(err, kill(), grouped.remove()) }()
	if err != nil {
		return nil, err
	}
	plain, err := measureRounds(ctx, pids, nil)
	if err != nil {
		return nil, err
	}
	grouped, err = groupsOf(pids)
	if errors.Is(err, cgroup.ErrUnavailable) {
		return []value{plain, {leftOut: err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	inGroups, err := measureRounds(ctx, pids, grouped.list)
	return []value{plain, inGroups}, err
}

// measureRounds is the CPU time of a round.
func measureRounds(ctx context.Context, pids []int, groups []*cgroup.Group) (v value, err error) {
	const rounds = 60 // a multiple of those that share one reading of PSS
	meters := make([]*procstats.Meter, len(pids))
	for i, pid := range pids {
		p, err := procstats.Read(pid)
		if err != nil {
			return v, err
		}
		meters[i] = procstats.NewMeter(p.ID)
		defer meters[i].Close()
	}
	census := procstats.NewCensus()
	start, err := cpuTime()
	if err != nil {
		return v, err
	}
	for range rounds {
		t, err := census.Look()
		if err != nil {
			return v, err
		}
		now := time.Now()
		for i, m := range meters {
			if u := m.Sample(t, now); u.Processes != 1 || u.MemoryBytes == 0 {
				return v, fmt.Errorf("worker %d was measured as %+v", pids[i], u)
			}
			if groups == nil {
				continue
			}
			if _, _, err := groups[i].CPUTime(); err != nil {
				return v, err
			}
		}
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
	}
	end, err := cpuTime()
	return value{value: milliseconds(end-start) / rounds, n: rounds}, err
}

// sleepingGroups are the control groups of sleepers.
type sleepingGroups struct {
	tree *cgroup.Tree
	list []*cgroup.Group
}

// groupsOf puts each process into a group as a launcher makes it for a task without limits.
func groupsOf(pids []int) (g sleepingGroups, err error) {
	if g.tree, err = cgroup.Detect(cgroup.Config{Name: fmt.Sprintf("skalds-bench-%d", os.Getpid())}); err != nil {
		return g, err
	}
	for i, pid := range pids {
		group, err := g.tree.New(fmt.Sprint(i), cgroup.Limits{CountOOM: true})
		if err != nil {
			return g, err
		}
		g.list = append(g.list, group)
		if err := group.Add(pid); err != nil {
			return g, err
		}
	}
	return g, nil
}

// remove removes them after their members have ended.
func (g sleepingGroups) remove() error {
	var errs []error
	for _, group := range g.list {
		errs = append(errs, group.Remove())
	}
	if g.tree != nil {
		errs = append(errs, g.tree.Remove())
	}
	return errors.Join(errs...)
}

// sleepers starts workers to which nobody speaks. They die with this process by the pipe that all of them hold.
func (l *lab) sleepers(dir string, n int) (pids []int, kill func() error, err error) {
	var started []*exec.Cmd
	kill = func() error {
		for _, c := range started {
			_ = c.Process.Kill() // it may have ended
		}
		for _, c := range started {
			_ = c.Wait() // killed
		}
		return nil
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("bench"), 0o600); err != nil {
		return nil, kill, err
	}
	alive, hold, err := os.Pipe()
	if err != nil {
		return nil, kill, err
	}
	killProcesses := kill
	kill = func() error { return errors.Join(killProcesses(), hold.Close(), alive.Close()) }
	for range n {
		c := exec.Command(l.plugin.Path)
		c.Env = append(os.Environ(), protocol.EnvTokenFile+"="+token, protocol.EnvCookieKey+"="+protocol.EnvCookieValue,
			protocol.EnvLivenessFD+"=3", "PLUGIN_UNIX_SOCKET_DIR="+dir)
		c.ExtraFiles = []*os.File{alive}
		out, err := c.StdoutPipe()
		if err != nil {
			return nil, kill, err
		}
		if err := c.Start(); err != nil {
			return nil, kill, err
		}
		started = append(started, c)
		if _, err := out.Read(make([]byte, 1)); err != nil { // the handshake: it serves, and sleeps
			return nil, kill, fmt.Errorf("start a worker: %w", err)
		}
		pids = append(pids, c.Process.Pid)
	}
	return pids, kill, nil
}

// cpuTime is what this process has used.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read own cpu time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
