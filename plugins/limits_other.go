//go:build !linux

package plugins

import (
	"syscall"

	"github.com/skalds-go/skalds"
)

// apply sets the niceness: limits of another process can only be set on Linux.
func (p processLimits) apply(pid int, _ skalds.Limits, nice int) error {
	if nice == 0 {
		return nil
	}
	return p.refine(pid, "niceness", beNicer(pid, nice, 0))
}

func procAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func becomeSubreaper() error { return nil }
