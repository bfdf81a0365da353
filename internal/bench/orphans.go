package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/skalds-go/skalds/plugins"
)

// orphansWithin is how long after the kill of a host something of it may live.
const orphansWithin = 2 * time.Second

// orphans kills hosts that start tasks at random moments, and counts what lives of all of them two seconds later: whatever runs a
// file of the lab, be it a worker, a process of one's tree or a shim.
func orphans(ctx context.Context, l *lab) (out []value, err error) {
	const together = 4
	rounds := l.times(10, 1)
	if _, err := l.skalds(ctx); err != nil {
		return nil, err
	}
	left, kills, began := 0, 0, 0
	for range rounds {
		dirs := make([]string, together)
		for i := range dirs {
			if dirs[i], err = l.room(); err != nil {
				return nil, err
			}
		}
		if err := l.killTogether(ctx, dirs); err != nil {
			return nil, err
		}
		if err := pause(ctx, orphansWithin); err != nil {
			return nil, err
		}
		pids, err := l.running(l.dir)
		if err != nil {
			return nil, err
		}
		left, kills = left+len(pids), kills+together
		for _, dir := range dirs {
			tasks, err := filepath.Glob(filepath.Join(dir, "recordings", "*", "began"))
			if err != nil {
				return nil, err
			}
			began += len(tasks)
		}
		for _, pid := range pids {
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may end
			fmt.Fprintf(l.notes, "orphans_after_host_kill: %d %s\n", pid, bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
		}
		for _, dir := range dirs {
			if err := clearAfter(ctx, dir); err != nil {
				return nil, err
			}
		}
	}
	if began == 0 {
		return nil, fmt.Errorf("none of %d hosts lived long enough to start a task", kills)
	}
	fmt.Fprintf(l.notes, "orphans_after_host_kill: %d hosts had %d of their tasks in Main\n", kills, began)
	return []value{{value: float64(left), n: kills}}, nil
}

// killTogether starts a host in each folder, and kills each at its own moment while it starts and runs tasks. It returns when the
// last is dead.
func (l *lab) killTogether(ctx context.Context, dirs []string) error {
	ended := make(chan error, len(dirs))
	for _, dir := range dirs {
		go func() { ended <- l.startAndKill(ctx, dir, time.Duration(rand.Int64N(int64(1500*time.Millisecond)))) }()
	}
	var errs []error
	for range dirs {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

func (l *lab) startAndKill(ctx context.Context, dir string, after time.Duration) error {
	file := filepath.Join(dir, "workers.yml")
	var workers strings.Builder
	workers.WriteString("TaskWorkers:\n")
	for i, do := range []string{"tree", "wait", "finish", "wait", "finish", "wait"} {
		fmt.Fprintf(&workers, "  task-%d:\n    className: %s\n    attachments:\n      do: %s\n", i, workerClass, do)
	}
	if err := os.WriteFile(file, []byte(workers.String()), 0o600); err != nil {
		return err
	}
	c := exec.Command(l.program, "host", "--mode", "edge", "--workers", file, "--data-dir", dir, "--plugins", l.plugins(), "--log-level", "WARNING")
	var said bytes.Buffer
	c.Dir, c.Stdout, c.Stderr, c.SysProcAttr = dir, &said, &said, tied()
	if err := l.start(c); err != nil {
		return fmt.Errorf("start a host: %w", err)
	}
	paused := pause(ctx, after)
	_ = c.Process.Kill() // where it has ended, the wait tells
	_ = c.Wait()
	if st, ok := c.ProcessState.Sys().(syscall.WaitStatus); paused == nil && (!ok || st.Signal() != syscall.SIGKILL) {
		return fmt.Errorf("the host has ended by itself, %s: %s", c.ProcessState, bytes.TrimSpace(said.Bytes()))
	}
	return paused
}

// clearAfter removes what a killed host has left outside of its folder: private folders of instances, control groups.
func clearAfter(ctx context.Context, dataDir string) error {
	launcher, err := plugins.NewLauncher(plugins.LauncherConfig{RunDir: filepath.Join(dataDir, "run"), Cgroups: plugins.CgroupsAuto}, nil)
	if err != nil {
		return err
	}
	_, err = launcher.Sweep(ctx)
	ended, end := context.WithCancel(ctx)
	end()
	return errors.Join(err, launcher.Run(ended))
}
