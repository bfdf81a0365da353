package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// machineLost stops a host that has joined a standalone, and its shim, so that nobody says anything any more, as a machine whose power
// fails; and sees when its task's Main begins on the standalone's own node. The lease is that of a cluster, 6 s. The worst counts.
func machineLost(ctx context.Context, l *lab) (out []value, err error) {
	var stopped []int // shims
	defer func() {
		for _, pid := range stopped {
			if killErr := syscall.Kill(pid, syscall.SIGKILL); killErr != nil && !errors.Is(killErr, syscall.ESRCH) {
				err = errors.Join(err, fmt.Errorf("kill shim %d: %w", pid, killErr))
			}
		}
	}()
	return l.loseHosts(ctx, "machine_lost_to_running_s", l.times(5, 1), func(host *os.Process) error {
		shim, err := shimOf(host.Pid)
		if err != nil {
			return err
		}
		stopped = append(stopped, shim)
		if err := syscall.Kill(shim, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("stop shim %d: %w", shim, err)
		}
		return host.Signal(syscall.SIGSTOP)
	}, "--lease", "6s")
}
