package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// hostLeaf is the group into which Detect moves this process where version 2 wants a group that hands controllers on to hold
// no process itself.
const hostLeaf = "skalds-host"

// Detect finds out what can be used here, by making groups and looking at the files in them: neither how the hierarchies are
// mounted nor the kernel's version tells what this process may do. It makes the folder of our groups in each hierarchy. The
// error is ErrUnavailable where no group can be made at all; what cannot be held otherwise is in Reasons.
func Detect(cfg Config) (*Tree, error) { return detect(cfg, linux{}) }

func detect(cfg Config, k kernel) (*Tree, error) {
	if err := validName(cfg.Name); err != nil {
		return nil, err
	}
	if cfg.Name == hostLeaf {
		return nil, fmt.Errorf("%s is the name of the group of hosts themselves", hostLeaf)
	}
	mountinfo, err := os.ReadFile(cfg.Root + "/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	groups, err := os.ReadFile(cfg.Root + "/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	f := finder{cfg: cfg, kernel: k, mounts: parseMounts(string(mountinfo)), own: parseOwn(string(groups)), why: map[controller]error{}}
	t := &Tree{kernel: k, by: map[controller]*hierarchy{}}
	if t.unified, err = f.unified(); errors.Is(err, errNotMounted) {
		t.unified = nil
	} else if err != nil {
		f.say("version 2", err)
	} else {
		t.take(t.unified)
	}
	wanted := []controller{memory, cpu, pids, io}
	if t.unified == nil {
		wanted = append(wanted, freezer)
	}
	for _, c := range wanted {
		if t.by[c] != nil {
			continue
		}
		h, err := f.legacy(c)
		switch {
		case err == nil:
			t.legacy = append(t.legacy, h)
			t.take(h)
		case c == freezer:
		case errors.Is(err, errNotMounted) && f.why[c] != nil:
			f.say(string(c), f.why[c])
		default:
			f.say(string(c), err)
		}
	}
	t.reasons = append(f.reasons, f.advice...)
	if len(t.by) == 0 && t.unified == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnavailable, strings.Join(t.reasons, "; "))
	}
	return t, nil
}

func (t *Tree) take(h *hierarchy) {
	for _, c := range h.controllers {
		t.by[c] = h
	}
}

// errNotMounted says that a hierarchy is mounted nowhere.
var errNotMounted = errors.New("neither version has this controller mounted")

// errNotOffered says that a controller is there, and the file that we would write is not.
var errNotOffered = errors.New("the kernel offers no such limit")

// finder is one run of Detect.
type finder struct {
	cfg    Config
	kernel kernel
	mounts []mount
	own    map[string]string
	why    map[controller]error // why version 2 does not hold a limit
	moved  bool                 // this process is in the leaf

	reasons, advice []string
}

// say notes why something cannot be used. What to do about it is said once, however many reasons lead to it.
func (f *finder) say(what string, err error) {
	f.reasons = append(f.reasons, what+": "+err.Error())
	if a := (*advisedError)(nil); errors.As(err, &a) && !slices.Contains(f.advice, a.advice) {
		f.advice = append(f.advice, a.advice)
	}
}

// unified finds the hierarchy of version 2 and has it hand on what it can.
func (f *finder) unified() (*hierarchy, error) {
	point, own, err := f.place(func(m mount) bool { return m.version == 2 }, "")
	if err != nil {
		return nil, err
	}
	// A host that was started by one that had to move begins in the leaf.
	parent := strings.TrimSuffix(own, "/"+hostLeaf)
	if f.cfg.Parent != "" {
		parent = filepath.Join(point, f.cfg.Parent)
		if err := f.descend(point, parent); err != nil {
			return nil, err
		}
	}
	base := filepath.Join(parent, f.cfg.Name)
	if err := f.try(base); err != nil {
		return nil, err
	}
	h := &hierarchy{version: 2, base: base}
	for _, c := range limiting {
		if err := f.enable(parent, own, c); err != nil {
			f.why[c] = err
		} else if err := f.enable(base, "", c); err != nil {
			f.why[c] = err
		}
	}
	if b, err := os.ReadFile(filepath.Join(parent, "cgroup.subtree_control")); f.moved && err == nil && len(strings.Fields(string(b))) == 0 {
		f.moveBack(own)
	}
	if h.controllers, err = f.probe(base, 2); err != nil {
		return nil, err
	}
	for _, c := range limiting {
		if f.why[c] == nil && !slices.Contains(h.controllers, c) {
			f.why[c] = errNotOffered // io without a scheduler that weighs
		}
	}
	return h, nil
}

// legacy finds the hierarchy of version 1 with a controller.
func (f *finder) legacy(c controller) (*hierarchy, error) {
	name := string(c)
	if c == io {
		name = "blkio"
	}
	_, own, err := f.place(func(m mount) bool { return m.has(name) }, name)
	if err != nil {
		return nil, err
	}
	h := &hierarchy{version: 1, base: filepath.Join(own, f.cfg.Name)}
	if err := f.try(h.base); err != nil {
		return nil, err
	}
	if h.controllers, err = f.probe(h.base, 1); err != nil {
		return nil, errors.Join(err, gone(f.kernel.rmdir(h.base)))
	}
	if !slices.Contains(h.controllers, c) {
		return nil, errors.Join(errNotOffered, gone(f.kernel.rmdir(h.base)))
	}
	return h, nil
}

// place is where a hierarchy is mounted, and where there the group of this process is.
func (f *finder) place(is func(mount) bool, controller string) (point, own string, err error) {
	err = errNotMounted
	for _, m := range f.mounts {
		group, in := f.own[controller]
		if !is(m) || !in {
			continue
		}
		at, failed := m.dir(group)
		if failed != nil {
			err = failed
			continue
		}
		point, own = f.cfg.Root+m.point, f.cfg.Root+at
		if exists(filepath.Join(own, "cgroup.procs")) { // nothing else is mounted above it
			return point, own, nil
		}
		err = fmt.Errorf("%s is not there", own)
	}
	return "", "", err
}

// descend makes the parent that was asked for, with what the groups above it have to hand on. What they have not is told when
// it is missed.
func (f *finder) descend(point, parent string) error {
	if parent == point {
		return nil
	}
	if err := f.descend(point, filepath.Dir(parent)); err != nil {
		return err
	}
	for _, c := range limiting {
		_ = f.enable(filepath.Dir(parent), "", c)
	}
	if err := f.kernel.mkdir(parent); err != nil && !errors.Is(err, fs.ErrExist) {
		return advised(err)
	}
	return nil
}

// try makes the folder of our groups, if nobody has.
func (f *finder) try(base string) error {
	if err := f.kernel.mkdir(base); err != nil && !errors.Is(err, fs.ErrExist) {
		return advised(err)
	}
	return nil
}

var probes atomic.Int64

// probe makes a group below the folder and says what can be limited there.
func (f *finder) probe(base string, version int) (found []controller, err error) {
	path := filepath.Join(base, fmt.Sprintf("probe-%d-%d", os.Getpid(), probes.Add(1)))
	if err := f.kernel.mkdir(path); err != nil {
		return nil, advised(err)
	}
	return controllersOf(dir{version: version, path: path}), f.kernel.rmdir(path)
}

// enable hands a controller on to the groups below. Where the group holds this process, and because of that must not, it moves
// it into a group of its own.
func (f *finder) enable(group, own string, c controller) error {
	control := filepath.Join(group, "cgroup.subtree_control")
	if lists(control, c) {
		return nil
	}
	if !lists(filepath.Join(group, "cgroup.controllers"), c) {
		return &advisedError{fmt.Errorf("the group %s was not given this controller", group), delegate}
	}
	err := f.kernel.write(control, "+"+string(c))
	if errors.Is(err, unix.EBUSY) && group == own && !f.moved {
		if err := f.move(own); err != nil {
			return advised(err)
		}
		err = f.kernel.write(control, "+"+string(c))
	}
	if errors.Is(err, unix.EBUSY) {
		return &advisedError{fmt.Errorf("other processes live in the group %s, which therefore cannot hand on controllers", group), delegate}
	}
	return advised(err)
}

// move puts this process into the leaf.
func (f *finder) move(own string) error {
	leaf := filepath.Join(own, hostLeaf)
	if err := f.kernel.mkdir(leaf); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := f.kernel.write(filepath.Join(leaf, "cgroup.procs"), fmt.Sprint(os.Getpid())); err != nil {
		return err
	}
	f.moved = true
	return nil
}

// moveBack undoes move, which did not help. Where that fails, this process is as well off in the leaf.
func (f *finder) moveBack(own string) {
	if f.kernel.write(filepath.Join(own, "cgroup.procs"), fmt.Sprint(os.Getpid())) == nil {
		_ = f.kernel.rmdir(filepath.Join(own, hostLeaf))
	}
}

func lists(path string, c controller) bool {
	b, err := os.ReadFile(path)
	return err == nil && slices.Contains(strings.Fields(string(b)), string(c))
}

// What to do, for operators.
const (
	delegate = "run this as a systemd service with Delegate=yes, or by `systemd-run --user --scope -p Delegate=yes`, or alone in its container"
	writable = "give the container a /sys/fs/cgroup that it may write"
)

// advisedError is one about which the operator can do something.
type advisedError struct {
	err    error
	advice string
}

func (e *advisedError) Error() string { return e.err.Error() }

func (e *advisedError) Unwrap() error { return e.err }

func advised(err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return &advisedError{err, writable}
	case errors.Is(err, fs.ErrPermission):
		return &advisedError{err, delegate}
	default:
		return err
	}
}
