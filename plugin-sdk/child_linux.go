package sdk

import (
	"bytes"
	"runtime"
	"syscall"
)

// childAttr has the kernel kill a child whose worker is gone. The signal fires when the thread that forked ends, which
// threads of Go's pool never do; one that a goroutine has locked ends with the goroutine, so its children do without.
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
