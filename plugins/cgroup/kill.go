package cgroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Kill kills all who are in the group or below it, whatever sessions they are in, and returns when nobody lives there. A
// frozen group dies, too. Nobody can be started in the group after that. Zombies do not live: who has started them reaps them.
func (g *Group) Kill(ctx context.Context) error {
	g.mu.Lock()
	g.killed = true
	g.mu.Unlock()
	if err := g.kill(ctx); err != nil {
		return fmt.Errorf("kill group %s: %w", g.name, err)
	}
	return nil
}

func (g *Group) kill(ctx context.Context) error {
	if d := g.unified(); d != nil {
		err := g.kernel.write(d.file("cgroup.kill"), "1")
		if err == nil {
			err = awaitEvent(ctx, d.file("cgroup.events"), "populated 0")
		}
		if err := ended(err); err != nil { // before Linux 5.14 there is no such file
			return err
		}
	}
	// In version 1 there can be somebody who was moved in there by hand.
	members, err := g.PIDs()
	if err != nil || len(members) == 0 {
		return err
	}
	return g.killOneByOne(ctx)
}

// killOneByOne keeps the group from running and from forking while it is killed, as far as the kernel offers that, because one
// that forks faster than we kill would live for ever.
func (g *Group) killOneByOne(ctx context.Context) error {
	if d := g.dir(pids); d != nil {
		_ = g.kernel.write(d.file("pids.max"), "0")
	}
	if d := g.unified(); d != nil { // what is frozen there dies all the same
		_ = g.kernel.write(d.file("cgroup.freeze"), "1")
	}
	return until(ctx, func() (bool, error) {
		if d := g.dir(freezer); d != nil { // of version 1: what is frozen there dies when it is thawed
			_ = g.kernel.write(d.file("freezer.state"), "FROZEN")
		}
		err := g.signalMembers()
		err = errors.Join(err, g.thaw1())
		if err != nil {
			return false, err
		}
		members, err := g.PIDs()
		return len(members) == 0, err
	})
}

func (g *Group) thaw1() error {
	if d := g.dir(freezer); d != nil {
		return ended(g.kernel.write(d.file("freezer.state"), "THAWED"))
	}
	return nil
}

// atOnce is how many members are signalled together: each takes a descriptor for that long.
const atOnce = 64

// signalMembers sends SIGKILL to all members. A pid alone could be another process's by the time of the signal. So each is
// taken hold of first, and signalled if the group lists its number still: then it is a member, or has ended and cannot be
// signalled any more.
func (g *Group) signalMembers() error {
	members, err := g.PIDs()
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(members, atOnce) {
		var holds []hold
		for _, pid := range batch {
			if h, ok := take(pid); ok {
				holds = append(holds, h)
			}
		}
		still, err := g.PIDs()
		for _, h := range holds {
			if err == nil && slices.Contains(still, h.pid) {
				h.kill()
			}
			h.release()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
