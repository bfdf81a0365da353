package sdk

import (
	"bytes"
	"runtime"
	"syscall"
)

// childAttr has the kernel kill a child whose worker is gone. The signal fires when the thread that forked ends, and a
// thread that a goroutine has locked may end with it, so its children do without. Others end only where such a goroutine
// gets them later.
func childAttr() *syscall.SysProcAttr {
	if lockedToThread() {
		return &syscall.SysProcAttr{}
	}
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// lockedToThread reports whether the calling goroutine is locked to its thread, which only the head of its stack tells.
func lockedToThread() bool {
	b := make([]byte, 128)
	head, _, _ := bytes.Cut(b[:runtime.Stack(b, false)], []byte("\n"))
	return bytes.Contains(head, []byte("locked to thread"))
}
