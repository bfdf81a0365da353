package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// glance is how long an event is waited for before ctx is asked again, in milliseconds.
const glance = 20

// awaitEvent returns when a line stands in cgroup.events. The kernel says when the file has changed.
func awaitEvent(ctx context.Context, path, line string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var buf [256]byte
	for {
		n, err := pread(fd, buf[:])
		if err != nil {
			return &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if strings.Contains("\n"+string(buf[:n]), "\n"+line+"\n") {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %q: %w", line, context.Cause(ctx))
		}
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, glance)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return &fs.PathError{Op: "poll", Path: path, Err: err}
		}
	}
}

func pread(fd int, buf []byte) (n int, err error) {
	err = retried(func() error {
		n, err = unix.Pread(fd, buf, 0)
		return err
	})
	return max(n, 0), err
}
