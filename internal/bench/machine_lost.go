package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

// machineLost stops a host that has joined a standalone, and its shim, so that nobody says anything any more, as a machine whose power
// fails; and sees when its task's Main begins on the standalone's own node. The lease is that of a cluster, 6 s. The worst counts.
func machineLost(ctx context.Context, l *lab) ([]value, error) {
	return l.loseHosts(ctx, "machine_lost_to_running_s", l.times(5, 1), func(host *os.Process) (func(), error) {
		shim, err := shimOf(host.Pid)
		if err != nil {
			return func() {}, err
		}
		after := func() { _ = syscall.Kill(shim, syscall.SIGKILL) } // what a stopped one leaves nobody reaps
		if err := syscall.Kill(shim, syscall.SIGSTOP); err != nil {
			return after, fmt.Errorf("stop shim %d: %w", shim, err)
		}
		return after, host.Signal(syscall.SIGSTOP)
	}, "--lease", "6s")
}
