package plugins

import (
	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/shim"
)

// oomScore makes the kernel prefer workers to the host when memory runs out (range −1000 to 1000).
const oomScore = 500

// noFile is RLIMIT_NOFILE of a worker.
const noFile = 65536

// rlimits belong to the process itself, not to its tree.
func rlimits(l skalds.Limits) []shim.Rlimit {
	list := []shim.Rlimit{{Resource: unix.RLIMIT_CORE, Value: 0}, {Resource: unix.RLIMIT_NOFILE, Value: noFile}}
	if l.MemoryBytes > 0 {
		list = append(list, shim.Rlimit{Resource: unix.RLIMIT_DATA, Value: dataBackstop(l.MemoryBytes)})
	}
	return list
}

// becomeSubreaper makes workers our children when their shim dies, so that they can be found and reaped.
func becomeSubreaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// setRlimits sets them for a process that runs already.
func setRlimits(pid int, list []shim.Rlimit) error { return shim.SetRlimits(pid, list) }
