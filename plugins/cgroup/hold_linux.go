package cgroup

import (
	"errors"

	"golang.org/x/sys/unix"
)

// openDirectory opens a directory for what needs to name it only.
const openDirectory = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

// hold is a process that stays the same one whatever becomes of its number.
type hold struct{ pid, fd int }

// take is false where the process has gone.
func take(pid int) (hold, bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ENOSYS): // before Linux 5.3 there is the number alone
		return hold{pid: pid, fd: -1}, true
	case err != nil:
		return hold{}, false
	}
	return hold{pid: pid, fd: fd}, true
}

func (h hold) kill() {
	if h.fd < 0 {
		_ = unix.Kill(h.pid, unix.SIGKILL)
		return
	}
	_ = unix.PidfdSendSignal(h.fd, unix.SIGKILL, nil, 0)
}

func (h hold) release() {
	if h.fd >= 0 {
		_ = unix.Close(h.fd)
	}
}
