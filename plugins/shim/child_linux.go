package shim

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds/plugins/procstats"
)

// Child is one process that a shim has started. It is safe for concurrent use.
type Child struct {
	proc    procstats.ID
	shim    *Shim
	id      uint64
	cgroups []string
	exited  chan struct{} // the process has been reaped
	cleared chan struct{} // and nobody is left in its control groups

	once sync.Once // for what follows, written before exited is closed
	exit Exit
}

// Ident identifies the process.
func (c *Child) Ident() procstats.ID { return c.proc }

// Exited is closed when the process has been reaped; its group and its control groups were killed before.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Cleared is closed when nobody of its control groups is left, or after some time of trying.
func (c *Child) Cleared() <-chan struct{} { return c.cleared }

// Exit is how it ended; valid after Exited.
func (c *Child) Exit() Exit { return c.exit }

// Orphans lists children of the shim that it has not started, if the shim lives: processes whose parents have died.
func (c *Child) Orphans() (pids []int, ok bool) { return c.shim.Orphans() }

// Signal signals the process, or its group, if it has not been reaped.
func (c *Child) Signal(sig syscall.Signal, group bool) {
	_ = c.shim.send(request{Kind: kindSignal, ID: c.id, Signal: sig, Group: group}, nil)
}

// Kill kills the process, its group, and all that is in its control groups.
func (c *Child) Kill() { _ = c.shim.send(request{Kind: kindKill, ID: c.id}, nil) }

// Mark says what the shim shall know of the process from now on.
func (c *Child) Mark(m Mark) { _ = c.shim.send(request{Kind: kindMark, ID: c.id, Mark: &m}, nil) }

func (c *Child) ended(x *Exit) {
	c.once.Do(func() {
		if x != nil {
			c.exit = *x
		}
		close(c.exited)
	})
}

// bury ends a child of a shim that has ended: it has become ours, if we reap orphans and it lives.
func (c *Child) bury(why string) {
	select {
	case <-c.exited:
	default:
		c.ended(c.killAsOurs(why))
	}
	for deadline := time.Now().Add(clearWithin); anybodyIn(c.cgroups) && time.Now().Before(deadline); time.Sleep(clearEvery) {
		killCgroups(c.cgroups)
	}
	removeCgroups(c.cgroups)
	close(c.cleared)
}

func (c *Child) killAsOurs(why string) *Exit {
	killCgroups(c.cgroups)
	for deadline := time.Now().Add(clearWithin); ; time.Sleep(clearEvery) {
		if p, err := procstats.Read(c.proc.PID); err != nil || p.ID != c.proc {
			break // somebody else has reaped it
		}
		_ = unix.Kill(-c.proc.PID, unix.SIGKILL)
		_ = unix.Kill(c.proc.PID, unix.SIGKILL)
		var ws unix.WaitStatus
		var ru unix.Rusage
		n, err := unix.Wait4(c.proc.PID, &ws, unix.WNOHANG, &ru)
		if n == c.proc.PID {
			return exitOf(syscall.WaitStatus(ws), &ru, why)
		}
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECHILD) || time.Now().After(deadline) {
			break
		}
	}
	return &Exit{Why: why, Lost: true}
}
