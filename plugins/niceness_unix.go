//go:build unix

package plugins

import "syscall"

// beNicer gives a process the niceness of this one and some more. It goes by the process's group, since Linux would change
// but one thread of a process. zero is how a system call reports a niceness of 0, counting down from there, or 0 where it
// counts up.
func beNicer(pid, more, zero int) error {
	own, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	if zero > 0 {
		own = zero - own
	}
	return syscall.Setpriority(syscall.PRIO_PGRP, pid, min(own+more, 19))
}
