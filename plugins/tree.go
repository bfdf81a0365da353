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

// signalTree signals the group first, which is immediate, then every member that is in another group. SIGKILL is repeated
// until nobody is left.
func (i *Instance) signalTree(sig syscall.Signal) {
	i.mu.Lock()
	p := i.proc
	i.mu.Unlock()
	if p == nil || p.proc == nil {
		return
	}
	var strangers []procstats.Process
	if sig == syscall.SIGKILL && !i.wasAlone() {
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

// wasAlone reports whether the last rounds saw nobody but the worker itself.
func (i *Instance) wasAlone() bool {
	if !i.sampling.TryLock() {
		return false
	}
	defer i.sampling.Unlock()
	return len(i.meter.Members()) == 1 && time.Since(i.startedAt) > i.l.cfg.SampleEvery
}

// killRest kills what is left of the tree after the worker itself has been reaped and its group was killed: processes in
// sessions of their own, which the kernel has made our children.
func (i *Instance) killRest() {
	i.sampling.Lock()
	known := append([]procstats.ID(nil), i.meter.Members()...)
	i.sampling.Unlock()
	for _, id := range known {
		if id != i.proc.id {
			signalProcess(id, syscall.SIGKILL)
		}
	}
	i.l.reapOrphans(false)
}

// signalProcess signals a process if it still is the one that was seen.
func signalProcess(id procstats.ID, sig syscall.Signal) {
	if p, err := procstats.Read(id.PID); err == nil && p.ID == id {
		_ = syscall.Kill(id.PID, sig)
	}
}

// reapOrphans kills and reaps processes that carry one of our launch ids but belong to no live instance. With all, it
// looks at every child of this process whose origin cannot be told any more, too.
func (l *Launcher) reapOrphans(last bool) {
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
		id, ok := procstats.Environ(pid, protocol.EnvLaunchID)
		if !ok || !strings.HasPrefix(id, l.prefix+"-") {
			continue
		}
		l.mu.Lock()
		i, launching := l.instances[id], l.launching[id]
		l.mu.Unlock()
		if launching {
			continue // just forked, not booked yet
		}
		if i != nil && !i.proc.reaped.Load() {
			continue // its parent died, its task goes on: it stays a member of the tree
		}
		l.log.Info("killing what a worker has left behind", "pid", pid)
		signalProcess(p.ID, syscall.SIGKILL)
		reap(pid)
	}
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

// Freeze stops every member of the tree, also those that are forked meanwhile.
func (i *Instance) Freeze(ctx context.Context) error {
	for range 20 {
		running := 0
		for _, m := range i.members() {
			if m.State != 'T' && m.State != 't' {
				running++
				signalProcess(m.ID, syscall.SIGSTOP)
			}
		}
		if running == 0 {
			i.setFrozen(true)
			return nil
		}
		if ctx.Err() != nil {
			break
		}
		time.Sleep(time.Millisecond) // a stop takes effect at the process's next return to user mode
	}
	i.Thaw(context.WithoutCancel(ctx))
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	return errors.New("freeze: the tree forks faster than it can be stopped")
}

// Thaw lets a frozen tree go on.
func (i *Instance) Thaw(context.Context) {
	if !i.isFrozen() {
		return
	}
	i.setFrozen(false)
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
