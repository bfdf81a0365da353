package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Group holds one attempt of a task: a directory in each hierarchy that it has joined. Its methods may be called from any
// goroutine, and after Close all but Stat and Glance go on working.
type Group struct {
	kernel kernel
	name   string
	dirs   []dir // that of version 2 first, if there is one
	held   map[controller]bool

	mu     sync.Mutex // guards what follows
	killed bool
	gauges *gauges // open files; nil until Stat is called
	closed bool
	peak   int64 // the most memory that was seen, for kernels that do not say it
}

// dir is a group's directory in one hierarchy.
type dir struct {
	version     int
	path        string
	controllers []controller
}

func (d dir) file(name string) string { return filepath.Join(d.path, name) }

// Name is the name that New was given.
func (g *Group) Name() string { return g.name }

// Dirs are the directories of the group, for Reopen.
func (g *Group) Dirs() (paths []string) {
	for _, d := range g.dirs {
		paths = append(paths, d.path)
	}
	return paths
}

// dir is where a controller's files are, nil where the group has not joined its hierarchy.
func (g *Group) dir(c controller) *dir {
	for i, d := range g.dirs {
		if slices.Contains(d.controllers, c) {
			return &g.dirs[i]
		}
	}
	return nil
}

// unified is the directory of version 2, if there is one.
func (g *Group) unified() *dir {
	if len(g.dirs) > 0 && g.dirs[0].version == 2 {
		return &g.dirs[0]
	}
	return nil
}

// Set gives the group these limits in place of those that it has. Where more memory is in use than the new limit allows, the
// error is ErrBelowUse and the old one stands.
func (g *Group) Set(l Limits) error { return g.limit(l, true) }

// Join is what it takes to be in a group from the first instruction: the child is forked into UnifiedFD, by a process or
// thread that has joined the directories of version 1.
type Join struct {
	// UnifiedDir is the directory of version 2; empty where there is none.
	UnifiedDir string
	// UnifiedFD is it, open, for CLONE_INTO_CGROUP (SysProcAttr.UseCgroupFD); -1 where there is none. Close closes it.
	UnifiedFD int
	// Tasks are the files of version 1 that take the id of a thread, or 0 for the one that writes. What a thread forks is in
	// the groups of that thread. This way is cheaper than Procs, since the kernel need not keep the process from forking.
	Tasks []string
	// Procs are the files of version 1 that take a whole process by its pid, or 0 for the one that writes.
	Procs []string

	kernel kernel
}

// Join opens what a fork into the group needs. A group that was killed takes nobody: kernels kill at once what is forked into it.
func (g *Group) Join() (*Join, error) {
	g.mu.Lock()
	killed := g.killed
	g.mu.Unlock()
	if killed {
		return nil, fmt.Errorf("join group %s: it was killed, and a group is used once", g.name)
	}
	j := &Join{UnifiedFD: -1, kernel: g.kernel}
	for _, d := range g.dirs {
		if d.version == 1 {
			j.Tasks = append(j.Tasks, d.file("tasks"))
			j.Procs = append(j.Procs, d.file("cgroup.procs"))
			continue
		}
		fd, err := unix.Open(d.path, openDirectory, 0)
		if err != nil {
			return nil, fmt.Errorf("join group %s: %w", g.name, &fs.PathError{Op: "open", Path: d.path, Err: err})
		}
		j.UnifiedDir, j.UnifiedFD = d.path, fd
	}
	return j, nil
}

// Close closes UnifiedFD. It is safe to call twice.
func (j *Join) Close() error {
	if j.UnifiedFD < 0 {
		return nil
	}
	fd := j.UnifiedFD
	j.UnifiedFD = -1
	return unix.Close(fd)
}

// Add moves a process, with all its threads, into every directory of the group. What it has used so far, and what it has
// started, stays where it was: Join is for those who want a tree whole.
func (g *Group) Add(pid int) error {
	for _, d := range g.dirs {
		if err := g.kernel.write(d.file("cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("add process %d to group %s: %w", pid, g.name, err)
		}
	}
	return nil
}

// PIDs are the processes that live in the group or below it, in any of its hierarchies.
func (g *Group) PIDs() (list []int, err error) {
	for _, d := range g.dirs {
		below, err := d.pids()
		if err != nil {
			return nil, fmt.Errorf("list group %s: %w", g.name, err)
		}
		list = append(list, below...)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// pids are those of this directory and of what a task has made below it.
func (d dir) pids() (list []int, err error) {
	err = d.walk(func(path string) error {
		procs, err := listed(filepath.Join(path, "cgroup.procs"))
		if d.version == 1 && len(procs) > 0 && err == nil {
			procs, err = led(path, procs)
		}
		list = append(list, procs...)
		return err
	})
	return list, err
}

// led are the processes of a group of version 1 without those of which a single thread is there, for as long as it forks: its
// cgroup.procs lists them, too. A process that has ended but for some threads is there, though its first thread is not.
func led(path string, procs []int) (list []int, err error) {
	tasks, err := listed(filepath.Join(path, "tasks"))
	if err != nil {
		return nil, err
	}
	for _, pid := range procs {
		if slices.Contains(tasks, pid) || zombie(pid) {
			list = append(list, pid)
		}
	}
	return list, nil
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, ok := strings.Cut(string(b[max(strings.LastIndex(string(b), ")"), 0):]), ") ")
	return err == nil && ok && strings.HasPrefix(after, "Z")
}

// listed reads a list of processes or threads; none where the group has gone, or is a threaded one, whose processes are listed
// above.
func listed(path string) (list []int, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err := ended(err); err != nil {
		return nil, err
	}
	for field := range strings.FieldsSeq(string(b)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if n > 0 { // 0 is somebody of another pid namespace
			list = append(list, n)
		}
	}
	return list, nil
}

// walk calls do for all groups below and then for the directory itself.
func (d dir) walk(do func(path string) error) error {
	below, err := children(d.path)
	if err := ended(err); err != nil {
		return err
	}
	for _, path := range below {
		if err := (dir{path: path}).walk(do); err != nil {
			return err
		}
	}
	return do(d.path)
}

// ended makes no error of a group that has gone: its name is missing, or its open files are dead.
func ended(err error) error {
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return gone(err)
}

// removal is how long Remove waits for the kernel to let go of processes that have just ended.
const removal = time.Second

// Remove closes the group and removes its directories, with those that a task has made below. It waits a moment for the last
// processes to be gone from it, and fails where somebody lives there.
func (g *Group) Remove() error {
	errs := []error{g.Close()}
	for _, d := range g.dirs {
		errs = append(errs, g.remove(d))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove group %s: %w", g.name, err)
	}
	return nil
}

func (g *Group) remove(d dir) error {
	deadline := time.Now().Add(removal)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err := d.walk(func(path string) error { return gone(g.kernel.rmdir(path)) })
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		<-time.After(pause) // the kernel tells nobody when it lets go
	}
}

// Close closes the files that are kept open for Stat. It is safe to call twice.
func (g *Group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.gauges.close()
	g.gauges = nil
	return nil
}

// Reopen gives a group by its directories alone, for whoever has not made it. Those that are not there count as removed.
func Reopen(dirs []string) *Group { return reopen(linux{}, dirs) }

func reopen(k kernel, paths []string) *Group {
	g := &Group{kernel: k, held: map[controller]bool{}}
	for _, path := range paths {
		g.name = filepath.Base(path)
		d := dir{version: 1, path: path}
		if exists(d.file("cgroup.controllers")) {
			d.version = 2
		} else if !exists(path) {
			continue
		}
		d.controllers = controllersOf(d)
		for _, c := range d.controllers {
			g.held[c] = true
		}
		if d.version == 2 {
			g.dirs = slices.Insert(g.dirs, 0, d)
		} else {
			g.dirs = append(g.dirs, d)
		}
	}
	return g
}

func controllersOf(d dir) (found []controller) {
	for _, of := range telling {
		if of.version == d.version && exists(d.file(of.file)) && !slices.Contains(found, of.controller) {
			found = append(found, of.controller)
		}
	}
	return found
}

// telling are the files by which a controller is known to be there, and to do what it is wanted for.
var telling = []struct {
	version    int
	file       string
	controller controller
}{
	{2, "memory.max", memory},
	{2, "cpu.max", cpu},
	{2, "pids.max", pids},
	{2, "io.weight", io},
	{2, "io.bfq.weight", io},
	{1, "memory.limit_in_bytes", memory},
	{1, "cpu.cfs_quota_us", cpu},
	{1, "pids.max", pids},
	{1, "blkio.weight", io},
	{1, "blkio.bfq.weight", io},
	{1, "cpuacct.usage", cpuacct},
	{1, "freezer.state", freezer},
}

// until looks again and again until what it waits for is there, by itself a little more seldom each time.
func until(ctx context.Context, there func() (bool, error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if ok, err := there(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
