//go:build unix

package sdk

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// guardHandshake keeps the real standard output for the handshake, which go-plugin prints to os.Stdout, and lets file
// descriptor 1 be standard error meanwhile, so that prints of C code and children neither break the handshake nor are lost.
// after makes descriptor 1 standard output again, once the handshake is over, and returns what Go code prints to.
func guardHandshake(stderr *os.File) (after func() *os.File) {
	stdout := os.Stdout
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return func() *os.File { return stderr } // standard output is closed: the handshake will say so
	}
	if err := dup2(int(stderr.Fd()), 1); err != nil {
		_ = unix.Close(fd)
		return func() *os.File { return stderr }
	}
	handshake := os.NewFile(uintptr(fd), "handshake")
	os.Stdout = handshake
	return func() *os.File {
		if err := dup2(fd, 1); err != nil {
			return stderr // as descriptor 1 still is
		}
		_ = handshake.Close() // a program that closes its standard output shall be seen to
		return stdout
	}
}

// watchLiveness calls end as soon as the host's end of the liveness pipe is closed, which happens when the host dies, however
// it dies. It reports whether there is such a pipe.
func watchLiveness(end func()) bool {
	fd, err := strconv.Atoi(os.Getenv(protocol.EnvLivenessFD))
	if err != nil || fd < 3 {
		return false
	}
	unix.CloseOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "liveness")
	go func() {
		var b [1]byte
		for {
			_, err := pipe.Read(b[:])
			if errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EAGAIN) {
				continue
			}
			if err != nil {
				end()
			}
		}
	}()
	return true
}

// Command is exec.CommandContext for children of a worker: its output goes to the task's log unless Stdout and Stderr are
// set, it is ended when ctx ends (SIGTERM, then SIGKILL after 2 s), and it stays in the worker's process group, so that it
// dies with the worker however that dies: the host kills the group, and so does the worker when its host has died. On Linux
// the kernel kills the child, too, when the worker is gone, in case both were killed at once.
//
// SysProcAttr is set: add to it instead of replacing it, and leave Setpgid and Setsid alone. The kernel takes the end of the
// thread that started the child for the worker's. Go ends a thread only with a goroutine that has locked it and does not
// unlock it; on a goroutine that is locked this watch is left out. A worker in which others end threads so sets
// SysProcAttr.Pdeathsig to 0.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 2 * time.Second
	c.SysProcAttr = childAttr()
	return c
}
