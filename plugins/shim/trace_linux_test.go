package shim

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// trace holds a process so that its parent does not see its end before release is called: a traced child that dies is its
// tracer's to wait for first.
func trace(t *testing.T, pid int) (release func()) {
	t.Helper()
	attached, free, done := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the tracer is a thread
		defer runtime.UnlockOSThread()
		err := unix.PtraceSeize(pid)
		attached <- err
		if <-free; err == nil {
			_, _ = unix.Wait4(pid, nil, unix.WALL, nil) // which ends the tracing
		}
	}()
	if err := <-attached; err != nil {
		close(free)
		t.Skipf("cannot trace: %v", err)
	}
	return func() { close(free); <-done }
}
