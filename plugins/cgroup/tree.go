package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Config says where the groups of a host are.
type Config struct {
	// Name is the folder of our groups below the parent, in every hierarchy. Hosts that share a machine need different ones,
	// because Sweep kills whatever it finds there.
	Name string
	// Parent is the group below which the folder lies, as a path from the root of the version 2 mount. Empty: the group of
	// this process. Version 1 always takes the group of this process.
	Parent string
	// Root is put before /proc and before every mount point. Empty outside tests.
	Root string
}

// ErrUnavailable says that no control group can be made here; its text says why, and what to do.
var ErrUnavailable = errors.New("no control groups")

// How a limit is held, or a tree is killed or frozen.
const (
	Version2 = "cgroup2"
	Version1 = "cgroup1"
)

// Controllers says by what each limit is held: Version2, Version1, or nothing where it cannot be held.
type Controllers struct {
	Memory, CPU, PIDs, IO string
	// Kill is Version2 where the kernel kills a whole tree at once; empty where its members get SIGKILL one by one.
	Kill string
	// Freeze is by what a tree is frozen; empty where it cannot be.
	Freeze string
}

// Tree is the folder of our groups in each hierarchy that can be used. Its methods may be called from any goroutine.
type Tree struct {
	kernel  kernel
	unified *hierarchy   // nil where version 2 is not mounted or not ours to write
	legacy  []*hierarchy // version 1: those with a controller that we use, and the freezer where there is no version 2
	by      map[controller]*hierarchy
	reasons []string
}

// hierarchy is a tree of groups that the kernel shows at one mount.
type hierarchy struct {
	version     int
	controllers []controller // those that can be used in our groups
	base        string       // the folder of our groups
}

// controller is the name of a part of the kernel that limits or measures, as version 2 spells it.
type controller string

const (
	memory  controller = "memory"
	cpu     controller = "cpu"
	pids    controller = "pids"
	io      controller = "io"
	cpuacct controller = "cpuacct" // version 1 only: version 2 counts CPU time always
	freezer controller = "freezer" // version 1 only: version 2 freezes always
)

// limiting are the controllers that hold a limit.
var limiting = []controller{memory, cpu, pids, io}

// Controllers says what holds here.
func (t *Tree) Controllers() Controllers {
	c := Controllers{Memory: t.version(memory), CPU: t.version(cpu), PIDs: t.version(pids), IO: t.version(io)}
	if t.unified == nil {
		c.Freeze = t.version(freezer)
		return c
	}
	if exists(filepath.Join(t.unified.base, "cgroup.kill")) {
		c.Kill = Version2
	}
	if exists(filepath.Join(t.unified.base, "cgroup.freeze")) {
		c.Freeze = Version2
	}
	return c
}

func (t *Tree) version(c controller) string {
	h := t.by[c]
	switch {
	case h == nil:
		return ""
	case h.version == 2:
		return Version2
	}
	return Version1
}

// Reasons says in words, for people, why a limit cannot be held here, and at the end what would change that.
func (t *Tree) Reasons() []string { return slices.Clone(t.reasons) }

// New makes a fresh group. A limit that no controller holds here is left out: Controllers tells which. Only those hierarchies
// of version 1 are joined that have something to hold, because joining one costs time; that of version 2 always is.
func (t *Tree) New(name string, l Limits) (*Group, error) {
	if err := validName(name); err != nil {
		return nil, err
	}
	g := &Group{kernel: t.kernel, name: name, held: map[controller]bool{}}
	for _, c := range limiting {
		g.held[c] = t.by[c] != nil
	}
	for _, h := range t.joined(l) {
		d := dir{version: h.version, path: filepath.Join(h.base, name), controllers: h.controllers}
		if err := t.mkdir(h, d.path); err != nil {
			return nil, errors.Join(fmt.Errorf("make group %s: %w", name, err), g.Remove())
		}
		g.dirs = append(g.dirs, d)
	}
	if err := g.limit(l, false); err != nil {
		return nil, errors.Join(fmt.Errorf("make group %s: %w", name, err), g.Remove())
	}
	return g, nil
}

// mkdir makes a group's directory, and the folder of our groups again where somebody has removed it while it was empty.
func (t *Tree) mkdir(h *hierarchy, path string) error {
	err := t.kernel.mkdir(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := t.kernel.mkdir(h.base); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if h.version == 2 {
		for _, c := range h.controllers {
			if err := t.kernel.write(filepath.Join(h.base, "cgroup.subtree_control"), "+"+string(c)); err != nil {
				return err
			}
		}
	}
	return t.kernel.mkdir(path)
}

// joined are the hierarchies that a group with these limits lies in, that of version 2 first.
func (t *Tree) joined(l Limits) (list []*hierarchy) {
	if t.unified != nil {
		list = append(list, t.unified)
	}
	for _, h := range t.legacy {
		wanted := slices.ContainsFunc(h.controllers, func(c controller) bool { return l.All && c != freezer || l.CountOOM && c == memory || l.has(c) })
		if wanted || t.unified == nil && h == t.tracker() {
			list = append(list, h)
		}
	}
	return list
}

// tracker is the hierarchy by which members are known where version 2 is not there: each group is in it.
func (t *Tree) tracker() *hierarchy {
	for _, c := range []controller{freezer, pids, cpu, memory, io} {
		if h := t.by[c]; h != nil {
			return h
		}
	}
	return nil
}

func validName(name string) error {
	if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\n") || len(name) > 200 {
		return fmt.Errorf("%q is no name of a group", name)
	}
	return nil
}

// Sweep kills and removes the groups that keep does not want: those that a dead host has left. It says how many processes
// were in them.
func (t *Tree) Sweep(ctx context.Context, keep func(name string) bool) (killed int, err error) {
	names, err := t.names()
	errs := []error{err}
	for _, name := range names {
		if keep != nil && keep(name) {
			continue
		}
		g := reopen(t.kernel, t.dirs(name))
		members, err := g.PIDs()
		errs = append(errs, err)
		killed += len(members)
		if err := g.Kill(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, g.Remove())
	}
	return killed, errors.Join(errs...)
}

// names are those of all groups that are there, whoever made them.
func (t *Tree) names() (names []string, err error) {
	var errs []error
	for _, h := range t.hierarchies() {
		below, err := children(h.base)
		errs = append(errs, err)
		for _, d := range below {
			names = append(names, filepath.Base(d))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), errors.Join(errs...)
}

func (t *Tree) dirs(name string) (dirs []string) {
	for _, h := range t.hierarchies() {
		dirs = append(dirs, filepath.Join(h.base, name))
	}
	return dirs
}

func (t *Tree) hierarchies() []*hierarchy {
	if t.unified == nil {
		return t.legacy
	}
	return append([]*hierarchy{t.unified}, t.legacy...)
}

// Remove removes the folders of our groups. It fails where a group is left in one; the others go.
func (t *Tree) Remove() error {
	var errs []error
	for _, h := range t.hierarchies() {
		errs = append(errs, gone(t.kernel.rmdir(h.base)))
	}
	return errors.Join(errs...)
}

// children are the groups directly below a directory; none where it is not there.
func children(path string) (dirs []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, gone(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(path, e.Name()))
		}
	}
	return dirs, nil
}

// gone makes no error of what is not there any more.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
