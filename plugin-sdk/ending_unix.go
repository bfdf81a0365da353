//go:build unix

package sdk

import (
	"os"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// ending ends this process and what it has started, at once: its host has died, and nobody is left to stop for.
type ending struct{ group int } // descriptor of the control group's cgroup.kill; -1: there is none

// newEnding opens what it takes while that can be done: at the end there may be no descriptor left.
func newEnding(log hclog.Logger) ending {
	path := os.Getenv(protocol.EnvCgroupKill)
	if path == "" {
		return ending{-1}
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		log.Warn("the control group cannot be killed from here: children in sessions of their own would outlive the host", "err", &os.PathError{Op: "open", Path: path, Err: err})
		return ending{-1}
	}
	return ending{fd}
}

// now does not return.
func (e ending) now() {
	if e.group >= 0 {
		_, _ = unix.Write(e.group, []byte("1")) // takes this process along, and who has left its process group
	}
	// The kernel ends everybody in a pid namespace whose first process ends; to its group, whose number is 1, nothing can be
	// sent: kill takes -1 for "everybody".
	if pgid, err := unix.Getpgid(0); err == nil && pgid == os.Getpid() && pgid != 1 {
		_ = unix.Kill(-pgid, unix.SIGKILL) // takes this process along
	}
	os.Exit(1)
}
