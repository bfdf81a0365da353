package plugins

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/shim"
)

// confinement is what a launch does about the isolation of its task. nil: nothing is asked for.
type confinement struct {
	account  *Account // another user; nil: that of the host
	name     string   // of account, if it has one
	clone    uintptr
	restrict *shim.Restrict
	plugin   string
	dataDir  string
}

// confine looks whether this machine can do what is asked for. Its error is an *IsolationError.
func (l *Launcher) confine(spec LaunchSpec) (*confinement, error) {
	is := spec.Isolation
	if is.IsZero() {
		return nil, nil
	}
	if lacking := l.isolation().Lacks(is.Needs()); lacking != "" {
		return nil, &IsolationError{"isolation", errors.New("this node " + lacking)}
	}
	c := &confinement{plugin: spec.Plugin.Path, dataDir: spec.DataDir, clone: namespaceFlags(is.Namespaces)}
	if is.User != "" {
		a, err := LookUpAccount(is.User)
		if err != nil {
			return nil, &IsolationError{"isolation.user", err}
		}
		c.account = &a
		if entry, err := user.LookupId(strconv.FormatUint(uint64(a.UID), 10)); err == nil {
			c.name = entry.Username
		}
	}
	if is.Paths != nil {
		if err := neverWritable(is.Paths.ReadWrite, c.plugin); err != nil {
			return nil, &IsolationError{"isolation.paths", err}
		}
	}
	// The limits of a process of another user are set by itself, because containers often lack the right to set them for it.
	if is.NoNewPrivileges || is.Paths != nil || c.account != nil {
		c.restrict = &shim.Restrict{Secret: rand.Text(), NoNewPrivileges: is.NoNewPrivileges}
	}
	if is.Paths != nil {
		c.restrict.Paths = c.paths(is.Paths)
	}
	return c, nil
}

// lets makes a file of the worker's own control group writable for it, and reports whether it is.
func (c *confinement) lets(file string) bool {
	if c == nil {
		return true
	}
	if c.account != nil && os.Chown(file, int(c.account.UID), int(c.account.GID)) != nil {
		return false
	}
	if c.restrict != nil && c.restrict.Paths != nil {
		c.restrict.Paths.Devices = append(slices.Clip(c.restrict.Paths.Devices), file)
	}
	return true
}

// namespaceFlags adds a user namespace where this host has no right to make the others without.
func namespaceFlags(list []skalds.Namespace) (flags uintptr) {
	for _, n := range list {
		flags |= map[skalds.Namespace]uintptr{
			skalds.NamespaceUser: unix.CLONE_NEWUSER, skalds.NamespacePID: unix.CLONE_NEWPID, skalds.NamespaceNet: unix.CLONE_NEWNET,
		}[n]
	}
	if allowed, err := effectiveCapabilities(); flags != 0 && (err != nil || allowed&(1<<unix.CAP_SYS_ADMIN) == 0) {
		flags |= unix.CLONE_NEWUSER
	}
	return flags
}

// neverWritable refuses paths by which a worker could write its own program, or one that will be run as another task.
func neverWritable(paths []string, plugin string) error {
	real, err := filepath.EvalSymlinks(plugin)
	if err != nil {
		return err
	}
	for _, p := range paths {
		to, err := filepath.EvalSymlinks(p)
		if err != nil {
			return fmt.Errorf("%s cannot be read and written: %w", p, err)
		}
		for _, file := range []string{plugin, real} {
			if within(file, to) || within(to, filepath.Dir(file)) {
				return fmt.Errorf("to write %s would make the worker's own folder %s writable: name narrower paths", p, filepath.Dir(file))
			}
		}
	}
	return nil
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

var (
	// systemPaths are what programs need to start, to find names and to trust certificates. No list of users is among them, and
	// no temporary files, which all users share. Of /proc, a process that is kept from paths reads only what is everybody's:
	// landlock forbids it to look into processes that are not.
	systemPaths = []string{
		"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/nix/store",
		"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types",
		"/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols",
		"/run/systemd/resolve", "/run/NetworkManager/resolv.conf", "/run/resolvconf",
		"/proc", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage",
	}
	devicePaths = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}
)

// paths are all that the task's process reaches, but for its instance's folder, which is not there yet.
func (c *confinement) paths(p *skalds.Paths) *shim.Paths {
	out := &shim.Paths{
		ReadOnly: append([]string{filepath.Dir(c.plugin), c.plugin}, p.ReadOnly...), ReadWrite: append([]string(nil), p.ReadWrite...),
		System: systemPaths, Devices: devicePaths,
	}
	if c.dataDir != "" {
		out.ReadWrite = append(out.ReadWrite, c.dataDir)
	}
	return out
}

// takeOver makes the run folder one that another user can pass through but not list, and gives that user the task's folder.
func (c *confinement) takeOver(base string) error {
	if c == nil || c.account == nil {
		return nil
	}
	if err := os.Chmod(base, 0o711); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	if c.dataDir == "" {
		return nil
	}
	if err := c.account.takeOver(c.dataDir); err != nil {
		return fmt.Errorf("give the task's folder to user %d: %w", c.account.UID, err)
	}
	return nil
}

// give gives the user what was made for its instance, and nobody else. The folder of the rest comes last.
func (c *confinement) give(paths ...string) error {
	if c == nil || c.account == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Lchown(path, int(c.account.UID), int(c.account.GID)); err != nil {
			return fmt.Errorf("private folder: %w", err)
		}
	}
	return nil
}

// reach looks whether the user gets to its program, the task's folder and that of the instance. Its error is an *IsolationError.
func (c *confinement) reach(dir string) error {
	if c == nil || c.account == nil {
		return nil
	}
	ways := []way{{dir, unix.W_OK | unix.X_OK}, {c.plugin, unix.X_OK}}
	if c.dataDir != "" {
		ways = append(ways, way{c.dataDir, unix.W_OK | unix.X_OK})
	}
	if err := c.account.reach(ways); err != nil {
		return &IsolationError{"isolation.user", err}
	}
	return nil
}

// env is what a process has to know of it. The folders that programs use unasked are the host's user's, or everybody's.
func (c *confinement) env(dir string) (env []string) {
	if c == nil {
		return nil
	}
	if c.account != nil {
		name := cmp.Or(c.name, strconv.FormatUint(uint64(c.account.UID), 10))
		env = append(env, "HOME="+dir, "USER="+name, "LOGNAME="+name)
	}
	if c.account != nil || c.restrict != nil && c.restrict.Paths != nil {
		env = append(env, "TMPDIR="+dir)
	}
	return env
}

// apply says it to the shim. dir is the instance's folder.
func (c *confinement) apply(s *shim.Spec, dir string) {
	if c == nil {
		return
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if c.account != nil {
		uid, gid = int(c.account.UID), int(c.account.GID)
		s.UID, s.GID = &uid, gid
	}
	s.Cloneflags = c.clone
	if c.clone&unix.CLONE_NEWUSER != 0 {
		s.UIDMap = []shim.IDMap{{Inside: uid, Outside: uid, Size: 1}}
		s.GIDMap = []shim.IDMap{{Inside: gid, Outside: gid, Size: 1}}
	}
	if c.restrict != nil {
		r := *c.restrict
		r.Rlimits = s.Rlimits
		if r.Paths != nil {
			p := *r.Paths
			p.ReadWrite = append(append([]string(nil), p.ReadWrite...), dir)
			r.Paths = &p
		}
		s.Restrict = &r
	}
	if c.account != nil || c.restrict != nil && c.restrict.Paths != nil {
		s.Dir = cmp.Or(c.dataDir, "/") // a folder that one stands in is reached whatever lies above it
	}
}

// fault is what a process has said that could not restrict itself; nil: it did, or had nothing to restrict.
func (c *confinement) fault(st Status, said string) error {
	if c == nil || c.restrict == nil || st.Code != shim.ExitRestrict {
		return nil
	}
	_, why, found := strings.Cut("\n"+said, "\n"+shim.RestrictFault(c.restrict.Secret))
	if !found {
		return nil
	}
	why, _, _ = strings.Cut(why, "\n")
	return &IsolationError{"isolation", errors.New("this node cannot restrict the process: " + why)}
}
