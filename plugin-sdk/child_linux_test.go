package sdk_test

import (
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

// A goroutine that ends locked to its thread takes the thread along. Children of sdk.Command outlive it all the same.
func TestAChildOutlivesTheThreadThatStartedIt(t *testing.T) {
	child := make(chan *exec.Cmd, 1)
	failed := make(chan error, 2)
	tied := exec.Command("sleep", "600") // shows when the thread has gone: nothing else kills it
	tied.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	onThreadOfItsOwn(func() {
		c := sdk.Command(t.Context(), "sleep", "600")
		failed <- c.Start()
		failed <- tied.Start()
		child <- c
	})
	for range 2 {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	c := <-child
	_ = tied.Wait() // says that it was killed
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if ws, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGTERM {
		t.Errorf("the child died with the thread: %v", c.ProcessState)
	}
}

func TestAChildOfAnyGoroutineIsTied(t *testing.T) {
	if attr := sdk.Command(t.Context(), "true").SysProcAttr; attr == nil || attr.Pdeathsig != syscall.SIGKILL {
		t.Errorf("got %+v", attr)
	}
}

// onThreadOfItsOwn runs fn on a goroutine whose thread ends with it. The first thread of a process never does.
func onThreadOfItsOwn(fn func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			fn()
			return
		}
		defer runtime.UnlockOSThread()
		ended := make(chan struct{})
		go func() { // on another one, while this one is taken
			defer close(ended)
			runtime.LockOSThread()
			fn()
		}()
		<-ended
	}()
}
