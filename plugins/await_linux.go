package plugins

import (
	"errors"

	"golang.org/x/sys/unix"
)

// awaitExit blocks until a child has ended, and leaves it unreaped. It reports false where it cannot tell.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// reap collects a child that ended, without waiting.
func reap(pid int) { _, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) }
