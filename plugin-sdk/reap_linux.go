package sdk

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The first process of a pid namespace is given the orphans of all others, and zombies of them stay until it reaps them. It
// must not reap its own children: who started them waits for their exit. The kernel keeps children by the thread that forked
// them, and hands orphans to the main thread. So there the main thread forks nothing and reaps whatever it has; the main
// goroutine is tied to it here, because only an init can be sure to run on it.
//
// What is its child all the same: one that main started before Serve and did not wait for, and one whose thread has ended,
// which happens only to threads of goroutines that end without runtime.UnlockOSThread. Waiting for those may fail with ECHILD.
func init() {
	if os.Getpid() == 1 {
		runtime.LockOSThread()
	}
}

// besideReaper runs fn, which does not return; in the first process of a pid namespace on another goroutine, while this one
// reaps orphans.
func besideReaper(fn func()) {
	if os.Getpid() != 1 || unix.Gettid() != 1 {
		fn()
		return
	}
	go fn()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		reapThread()
		<-ended
	}
}

// reapThread reaps what has ended of this thread's children.
func reapThread() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WNOTHREAD, nil)
		if !errors.Is(err, unix.EINTR) && pid <= 0 {
			return
		}
	}
}
