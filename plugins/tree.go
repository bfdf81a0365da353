package plugins

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// members lists the live processes of the tree by a fresh look at the process table.
func (i *Instance) members() []procstats.Process {
	if i.group != nil {
		return i.groupMembers()
	}
	list, err := procstats.List()
	if err != nil {
		i.l.log.Error("cannot read the process table", "task_id", i.spec.TaskID, "err", err)
		return nil
	}
	t := procstats.NewTable(list)
	i.sampling.Lock()
	known := append([]procstats.ID(nil), i.meter.Members()...)
	i.sampling.Unlock()
	var out []procstats.Process
	for _, p := range t.Tree(i.proc.id, known) {
		if p.State != 'Z' {
			out = append(out, p)
		}
	}
	return out
}

// groupMembers lists them by the control group.
func (i *Instance) groupMembers() (out []procstats.Process) {
	pids, err := i.group.PIDs()
	if err != nil {
		i.l.log.Error("cannot read a control group", "task_id", i.spec.TaskID, "err", err)
	}
	for _, pid := range pids {
		if p, err := procstats.Read(pid); err == nil && p.State != 'Z' {
			out = append(out, p)
		}
	}
	return out
}

// signalTree signals the group first, which is immediate, then every member that is in another group. What escapes a
// SIGKILL is found by killRest.
func (i *Instance) signalTree(sig syscall.Signal) {
	p := i.process()
	if p == nil || p.reaped.Load() {
		return // killRest sees to the rest
	}
	var strangers []procstats.Process
	if sig == syscall.SIGKILL && i.group != nil {
		p.child.Kill()
		return
	}
	if sig == syscall.SIGKILL && !i.isAlone() {
		strangers = i.members() // before the root dies and its children change parents
	}
	p.signalGroup(sig)
	if sig != syscall.SIGKILL {
		for _, m := range i.members() {
			if m.PGID != i.PID() {
				signalProcess(m.ID, sig)
			}
		}
		return
	}
	for _, m := range strangers {
		signalProcess(m.ID, sig)
	}
}

// isAlone reports whether the tree is nobody but the worker itself, as far as the last rounds and the kernel know. Most are,
// and the process table of a whole machine is long.
func (i *Instance) isAlone() bool {
	if !i.sampling.TryLock() {
		return false
	}
	known := len(i.meter.Members())
	i.sampling.Unlock()
	if known > 1 {
		return false
	}
	has, ok := procstats.HasChildren(i.PID())
	return ok && !has
}

// killRest kills and reaps what is left of the tree after the worker itself has been reaped and its group was killed.
// Processes whose parents died are our children now; those in sessions of their own may be alive, and their children come
// to us when they die. So it looks again until nobody alive is left, for a while at most: a process that cannot be killed
// (in uninterruptible sleep) must not hold up the report of a death.
func (i *Instance) killRest() {
	i.sampling.Lock()
	ours := make(map[procstats.ID]bool, 4)
	for _, id := range i.meter.Members() {
		ours[id] = true
	}
	i.sampling.Unlock()
	for deadline := time.Now().Add(killAgain); ; time.Sleep(time.Millisecond) {
		left := i.remnants(ours)
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			i.l.log.Warn("processes of a worker are still there after they were killed", "task_id", i.spec.TaskID, "processes", left)
			return
		}
	}
}

// killAgain is how long killRest looks for processes to kill.
const killAgain = 2 * time.Second

// remnants kills and reaps what is left of the tree, adds it to ours, and counts those that were still alive.
func (i *Instance) remnants(ours map[procstats.ID]bool) (alive int) {
	orphans, mine := i.orphans()
	var roots []procstats.ID
	for _, pid := range orphans {
		p, err := procstats.Read(pid)
		if err != nil || !ours[p.ID] && p.PGID != i.proc.id.PID && !i.launched(p) {
			continue
		}
		ours[p.ID] = true
		if p.State == 'Z' {
			if mine {
				reap(pid)
			}
			continue
		}
		roots = append(roots, p.ID)
	}
	if len(roots) > 0 { // and what they have started
		if list, err := procstats.List(); err == nil {
			for _, p := range procstats.NewTable(list).Tree(procstats.ID{}, roots) {
				ours[p.ID] = true
			}
		}
	}
	for id := range ours {
		p, err := procstats.Read(id.PID)
		if err != nil || p.ID != id || p.State == 'Z' {
			continue
		}
		alive++
		_ = syscall.Kill(id.PID, syscall.SIGKILL)
	}
	return alive
}

// orphans lists processes whose parents have died: children of the shim, or ours where there is none, and then we reap them.
func (i *Instance) orphans() (pids []int, mine bool) {
	if pids, ok := i.proc.child.Orphans(); ok {
		return pids, false
	}
	pids, _ = procstats.Orphans()
	return pids, true
}

// launched reports whether a process carries the instance's launch id in its environment.
func (i *Instance) launched(p procstats.Process) bool {
	if p.State == 'Z' {
		return false // its environment has gone with its memory
	}
	id, ok := procstats.Environ(p.PID, protocol.EnvLaunchID)
	return ok && id == i.launchID
}

// signalProcess signals a process if it still is the one that was seen.
func signalProcess(id procstats.ID, sig syscall.Signal) {
	if p, err := procstats.Read(id.PID); err == nil && p.ID == id {
		_ = syscall.Kill(id.PID, sig)
	}
}

// reapOrphans kills and reaps processes that carry one of our launch ids but belong to no live instance. The last time, it
// reaps every zombie that it has seen before without waiting.
func (l *Launcher) reapOrphans(last bool) {
	if pids, ok := l.spawner.orphans(); ok {
		for _, pid := range pids {
			if p, err := procstats.Read(pid); err == nil && p.State != 'Z' { // which the shim reaps
				l.killForgotten(p)
			}
		}
	}
	pids, ok := procstats.Orphans()
	if !ok {
		return
	}
	for _, pid := range pids {
		p, err := procstats.Read(pid)
		if err != nil {
			continue
		}
		if p.State == 'Z' {
			l.zombie(p.ID, last)
			continue
		}
		if l.killForgotten(p) {
			reap(pid)
		}
	}
}

// killForgotten kills an orphan of an instance that has ended.
func (l *Launcher) killForgotten(p procstats.Process) bool {
	id, ok := procstats.Environ(p.PID, protocol.EnvLaunchID)
	if !ok || !strings.HasPrefix(id, l.prefix+"-") || id == l.askID { // one that describes itself ends by its time-out
		return false
	}
	l.mu.Lock()
	known := l.instances[id] != nil || l.launching[id] != nil // its task goes on or is being cleared away
	l.mu.Unlock()
	if known {
		return false
	}
	l.log.Info("killing what a worker has left behind", "pid", p.PID)
	signalProcess(p.ID, syscall.SIGKILL)
	return true
}

// zombie reaps an orphan that has ended. Whoever starts a process by os/exec reaps it at once, so only a zombie that is
// seen in two rounds is nobody's.
func (l *Launcher) zombie(id procstats.ID, last bool) {
	l.zombieMu.Lock()
	defer l.zombieMu.Unlock()
	if first, ok := l.zombies[id]; ok && time.Since(first) > l.cfg.SampleEvery || last && ok {
		delete(l.zombies, id)
		reap(id.PID)
	} else if !ok {
		l.zombies[id] = time.Now()
	}
}

// freezeWithin is how long Freeze tries.
const freezeWithin = 5 * time.Second

// errStops says that a tree that is being stopped is not frozen.
var errStops = errors.New("freeze: the instance is being stopped")

// Freeze stops every member of the tree, also those that are forked meanwhile. Where it fails, the tree goes on. One that is
// being stopped is not frozen: it would not hear that it shall stop.
func (i *Instance) Freeze(ctx context.Context) (err error) {
	i.freezing.Lock()
	defer i.freezing.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i.mu.Lock()
	i.unfreeze = cancel
	stops := i.nevermore
	i.mu.Unlock()
	if stops {
		return errStops
	}
	i.duty.freeze()
	defer func() {
		if err != nil {
			i.duty.thaw()
		}
	}()
	if i.l.groups.freezes() {
		ctx, cancel := context.WithTimeout(ctx, freezeWithin)
		defer cancel()
		if err := i.group.Freeze(ctx); err != nil {
			return err
		}
		i.setFrozen(true)
		return nil
	}
	// A child that is forked while we look may be missed though its parent is seen stopped; the next look finds it. So
	// it takes two looks in a row that see nobody running.
	// One that waits uninterruptibly with our signal pending counts as still: it may wait for a child by vfork that is
	// stopped before its exec, and does nothing before it stops.
	signalled := map[procstats.ID]bool{}
	i.proc.signalGroup(syscall.SIGSTOP) // behind a SIGCONT that may still be on its way by the shim
	for deadline, still := time.Now().Add(freezeWithin), 0; time.Now().Before(deadline) && ctx.Err() == nil; {
		running := 0
		for _, m := range i.members() {
			if m.State != 'T' && m.State != 't' && !(m.State == 'D' && signalled[m.ID]) {
				running++
				signalled[m.ID] = true
				signalProcess(m.ID, syscall.SIGSTOP)
			}
		}
		if running > 0 {
			still = 0
			time.Sleep(time.Millisecond) // a stop takes effect at the process's next return to user mode
			continue
		}
		if still++; still == 2 {
			i.setFrozen(true)
			return nil
		}
	}
	i.signalTree(syscall.SIGCONT)
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	return errors.New("freeze: the tree forks faster than it can be stopped")
}

// Thaw lets a frozen tree go on.
func (i *Instance) Thaw(context.Context) {
	i.freezing.Lock()
	defer i.freezing.Unlock()
	if i.isFrozen() {
		i.thaw()
	}
}

// thawForGood calls off a freeze under way, and no other comes.
func (i *Instance) thawForGood(ctx context.Context) {
	i.mu.Lock()
	i.nevermore = true
	if i.unfreeze != nil {
		i.unfreeze()
	}
	i.mu.Unlock()
	i.Thaw(ctx)
}

// thaw lets the tree go on. The caller holds freezing.
func (i *Instance) thaw() {
	defer i.duty.thaw()
	i.setFrozen(false)
	if i.l.groups.freezes() {
		if err := i.group.Thaw(); err != nil {
			i.l.log.Warn("cannot thaw", "task_id", i.spec.TaskID, "err", err)
		}
		return
	}
	i.signalTree(syscall.SIGCONT)
}

func (i *Instance) setFrozen(v bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.frozen = v
}

func (i *Instance) isFrozen() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.frozen
}
