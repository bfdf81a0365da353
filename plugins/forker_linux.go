package plugins

import (
	"os"

	"golang.org/x/sys/unix"
)

// onMainThread is of use only to a goroutine that is locked to its thread.
func onMainThread() bool { return unix.Gettid() == os.Getpid() }
