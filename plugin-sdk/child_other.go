//go:build unix && !linux

package sdk

import "syscall"

// childAttr asks for nothing: only Linux tells a child of its parent's death.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
