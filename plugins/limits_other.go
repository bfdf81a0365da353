//go:build !linux

package plugins

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds"
)

// apply sets the niceness: limits of another process can only be set on Linux.
func (p processLimits) apply(pid int, _ skalds.Limits, nice int) error {
	if nice == 0 {
		return nil
	}
	return p.refine(pid, "niceness", unix.Setpriority(unix.PRIO_PROCESS, pid, nice))
}

func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func becomeSubreaper() error { return nil }
