package plugins

import (
	"errors"
	"syscall"

	"github.com/skalds-go/skalds/plugins/procstats"
	"github.com/skalds-go/skalds/plugins/shim"
)

// child is a process that the spawner has started.
type child interface {
	Ident() procstats.ID
	Signal(sig syscall.Signal, group bool) // while it has not been reaped
	Mark(m shim.Mark)                      // what it counts as for the case that this host dies
	Kill()                                 // it, its group and its control groups
	Exited() <-chan struct{}               // it has been reaped
	Cleared() <-chan struct{}              // and nobody of its control groups is left
	Exit() shim.Exit                       // valid after Exited
	Orphans() ([]int, bool)                // processes whose parents have died; false: they are children of this process
}

var (
	errSpawnerClosed = errors.New("the launcher is closed")
	errSilent        = errors.New("this host stood still meanwhile, and others may run its tasks")
)
