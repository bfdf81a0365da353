package plugins

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds/plugins/procstats"
)

// onTheMainThread starts fn on the process's main thread. It takes threads one after the other and keeps those that are not
// the main one until the idle main thread is all that is left.
func onTheMainThread(t *testing.T, fn func()) {
	t.Helper()
	release := make(chan struct{})
	defer close(release)
	for range 500 {
		found := make(chan bool)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if !onMainThread() {
				found <- false
				<-release
				return
			}
			found <- true
			fn()
		}()
		if <-found {
			return
		}
	}
	t.Skip("no goroutine came to run on the main thread: it is in use")
}

func TestForkerKeepsOffTheMainThread(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	f := &forker{jobs: make(chan func()), done: make(chan struct{})}
	defer f.close()
	onTheMainThread(t, f.loop)
	p, err := f.start(sleep, []string{"sleep", "300"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{}}, func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Kill(); _, _ = p.Wait() }()
	orphans, ok := procstats.Orphans()
	if !ok {
		t.Skip("the kernel does not list children of threads")
	}
	if slices.Contains(orphans, p.Pid) {
		t.Errorf("process %d is a child of the main thread, which has %v", p.Pid, orphans)
	}
}
