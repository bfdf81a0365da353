package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoFreezer says that a group cannot be frozen here.
var ErrNoFreezer = errors.New("the kernel offers no freezer for it")

// Freeze lets nobody in the group run, and returns when nobody does. Where that is not reached before ctx ends, the group goes
// on.
func (g *Group) Freeze(ctx context.Context) error {
	if err := g.freeze(ctx); err != nil {
		return fmt.Errorf("freeze group %s: %w", g.name, errors.Join(err, g.thaw()))
	}
	return nil
}

func (g *Group) freeze(ctx context.Context) error {
	if d := g.unified(); d != nil {
		if err := missing(g.kernel.write(d.file("cgroup.freeze"), "1")); err != nil {
			return err
		}
		return awaitEvent(ctx, d.file("cgroup.events"), "frozen 1")
	}
	d := g.dir(freezer)
	if d == nil {
		return ErrNoFreezer
	}
	return until(ctx, func() (bool, error) {
		// Written again each time, because who forks while it is done can escape the first.
		if err := g.kernel.write(d.file("freezer.state"), "FROZEN"); err != nil {
			return false, err
		}
		b, err := os.ReadFile(d.file("freezer.state"))
		return strings.TrimSpace(string(b)) == "FROZEN", err
	})
}

// Thaw lets the group go on.
func (g *Group) Thaw() error {
	if err := g.thaw(); err != nil {
		return fmt.Errorf("thaw group %s: %w", g.name, err)
	}
	return nil
}

func (g *Group) thaw() error {
	if d := g.unified(); d != nil {
		return missing(g.kernel.write(d.file("cgroup.freeze"), "0"))
	}
	if d := g.dir(freezer); d != nil {
		return g.kernel.write(d.file("freezer.state"), "THAWED")
	}
	return nil
}

// missing tells a kernel without the file from other faults.
func missing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return errors.Join(ErrNoFreezer, err)
	}
	return err
}
