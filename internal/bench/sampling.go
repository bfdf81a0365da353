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
	"github.com/skalds-go/skalds/plugins/procstats"
)

// samplingRound is the CPU time of one round over 500 workers that sleep, as a launcher does it: one look at the process
// table for all, then each tree. The rare rounds that read PSS have their share.
func samplingRound(ctx context.Context, l *lab) (out []value, err error) {
	n, rounds := l.times(500, 50), 60 // rounds: a multiple of those that share one reading of PSS
	dir, err := l.room()
	if err != nil {
		return nil, err
	}
	pids, kill, err := l.sleepers(dir, n)
	defer func() { err = errors.Join(err, kill()) }()
	if err != nil {
		return nil, err
	}
	meters := make([]*procstats.Meter, n)
	for i, pid := range pids {
		p, err := procstats.Read(pid)
		if err != nil {
			return nil, err
		}
		meters[i] = procstats.NewMeter(p.ID)
		defer meters[i].Close()
	}
	census := procstats.NewCensus()
	start, err := cpuTime()
	if err != nil {
		return nil, err
	}
	for range rounds {
		t, err := census.Look()
		if err != nil {
			return nil, err
		}
		now := time.Now()
		for i, m := range meters {
			if u := m.Sample(t, now); u.Processes != 1 || u.MemoryBytes == 0 {
				return nil, fmt.Errorf("worker %d was measured as %+v", pids[i], u)
			}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	end, err := cpuTime()
	if err != nil {
		return nil, err
	}
	return []value{{value: milliseconds(end-start) / float64(rounds), n: rounds}}, nil
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
