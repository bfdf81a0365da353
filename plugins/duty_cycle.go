package plugins

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/skalds-go/skalds"
)

// EnvCPUDutyCycle says whether CPU limits are held by stopping and continuing, where a LauncherConfig does not.
const EnvCPUDutyCycle = "SKALDS_CPU_DUTY_CYCLE"

var errGone = errors.New("is gone")

// usesDutyCycle is what the configuration says, or the environment.
func (c LauncherConfig) usesDutyCycle() bool {
	if c.CPUDutyCycle != nil {
		return *c.CPUDutyCycle
	}
	return slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(strings.TrimSpace(os.Getenv(EnvCPUDutyCycle))))
}

// needsDutyCycle reports whether a tree's CPU limit is to be held by a duty cycle. One that is not below what there is cannot
// be exceeded.
func (l *Launcher) needsDutyCycle(lim skalds.Limits) bool {
	return l.cfg.usesDutyCycle() && !l.groups.holdsCPU() && lim.CPUCores > 0 && lim.CPUCores < float64(runtime.NumCPU())
}

// dutyCycle holds the CPU limit of one tree by stopping and continuing all its processes by turns. A nil one does nothing.
//
// Others stop and continue the tree, too, and come before it: while the tree is frozen, or a call to it has to be answered,
// the cycle only counts. Whoever signals on its behalf holds mu, so it never continues what has just been frozen; and what it
// says to the group goes through the same socket as what others say, in order.
type dutyCycle struct {
	i *Instance

	mu      sync.Mutex // guards what follows
	bucket  cpuBucket
	clock   cpuClock
	stopped bool // by the cycle
	frozen  bool // by a pause, which owns the tree until it is thawed
	excused int  // calls under way
	over    bool
}

func newDutyCycle(i *Instance) *dutyCycle {
	return &dutyCycle{i: i, bucket: cpuBucket{cores: i.spec.Limits.CPUCores}}
}

// run goes on until the process has ended, or the cycle has.
func (d *dutyCycle) run() {
	if d == nil {
		return
	}
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-d.i.proc.ended:
			return
		case <-t.C:
		}
		next, more := d.step(time.Now())
		if !more {
			return
		}
		t.Reset(next)
	}
}

// step is one look at the tree.
func (d *dutyCycle) step(now time.Time) (next time.Duration, more bool) {
	d.i.sampling.Lock()
	members := slices.Clone(d.i.meter.Members())
	d.i.sampling.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return 0, false
	}
	used := d.clock.advance(members, readProcess)
	next = d.bucket.step(now, used)
	switch {
	case d.frozen || d.excused > 0:
	case d.bucket.resting:
		d.stop()
	case d.stopped:
		d.goOn()
	}
	return next, true
}

// stop stops everybody who runs: at first all, and later those who were not known then. The group hears it at once, also
// a child that is being forked: the kernel lets no fork come between the members of a group.
func (d *dutyCycle) stop() {
	group := !d.stopped
	for _, p := range d.clock.tree {
		if p.State == 'T' || p.State == 't' || p.State == 'Z' || p.State == 'X' {
			continue
		}
		if p.PGID == d.i.proc.id.PID {
			group = group || p.State == 'R' || p.State == 'S' // D: it stops when it comes back
		} else {
			signalProcess(p.ID, syscall.SIGSTOP)
		}
	}
	if group {
		d.i.proc.signalGroup(syscall.SIGSTOP)
	}
	d.stopped = true
}

func (d *dutyCycle) goOn() {
	d.i.proc.signalGroup(syscall.SIGCONT)
	for _, p := range d.clock.tree {
		if p.PGID != d.i.proc.id.PID && p.State != 'Z' {
			signalProcess(p.ID, syscall.SIGCONT)
		}
	}
	d.stopped = false
}

// excuse lets the tree run until pardoned is called, because it has to answer. What it uses meanwhile counts.
func (d *dutyCycle) excuse() (pardoned func()) {
	if d == nil {
		return func() {}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.excused++
	d.release()
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.excused--
	}
}

// release continues the tree if it is the cycle alone that has stopped it.
func (d *dutyCycle) release() {
	if d.stopped && !d.frozen {
		d.goOn()
	}
}

// freeze leaves the tree to a pause, running or stopped as it is.
func (d *dutyCycle) freeze() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = true
}

// thaw takes the tree back from a pause.
func (d *dutyCycle) thaw() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = false
	d.release()
}

// end is for good, because the tree is to end: its hooks have a grace, which is not to be spent on being stopped.
func (d *dutyCycle) end() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.release()
}

// byDutyCycle says what the cycle is worth. The figures are measured by its tests on a busy machine.
func byDutyCycle() skalds.Enforced {
	return skalds.Enforced{
		Mechanism: skalds.MechanismDutyCycle,
		Overshoot: fmt.Sprintf("0.02 cores over 5 s; %d ms of all cores at once, made up for by a rest of at most %s; not held before the worker answers", dutyEvery.Milliseconds(), dutyRest),
	}
}
