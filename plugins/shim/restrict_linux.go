package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// restrictArgument makes a program what restricts itself and becomes another one. Its orders follow as JSON, then the path and
// the arguments of that one. Nothing of them is left when it has: arguments and environment are those of the worker.
const restrictArgument = "__exec"

// viaRestrict puts this program in front of the one that is to be started.
func (s *Spec) viaRestrict() (path string, args []string, err error) {
	if s.Restrict == nil {
		return s.Path, s.Args, nil
	}
	orders, err := json.Marshal(s.Restrict)
	if err != nil {
		return "", nil, err
	}
	return "/proc/self/exe", append([]string{os.Args[0], restrictArgument, string(orders), s.Path}, s.Args...), nil
}

// restrictAndExec returns only where something fails. It runs on the main thread: landlock and its like belong to a thread, as
// does the parent-death signal, and the one that calls exec is the one that stays.
func restrictAndExec(args []string) int {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, "skalds: __exec is started by a host, not by hand")
		return ExitRestrict
	}
	var r Restrict
	err := json.Unmarshal([]byte(args[0]), &r)
	if err == nil {
		err = r.apply()
	}
	if err == nil {
		err = become(args[1], args[2:])
	}
	fmt.Fprintf(os.Stderr, "\n%s%v\n", RestrictFault(r.Secret), err)
	return ExitRestrict
}

func (r *Restrict) apply() error {
	for _, l := range r.Rlimits {
		if err := lowerOwn(l); err != nil {
			return fmt.Errorf("set limits: resource %d: %w", l.Resource, err)
		}
	}
	if r.NoNewPrivileges || r.Paths != nil {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no new privileges: %w", err)
		}
	}
	if r.Paths == nil {
		return nil
	}
	if err := r.Paths.restrict(); err != nil {
		return fmt.Errorf("paths: %w", err)
	}
	return nil
}

// lowerOwn uses package syscall, whose exec would else give back the number of descriptors that the runtime has found.
func lowerOwn(l Rlimit) error {
	var has syscall.Rlimit
	if err := syscall.Getrlimit(l.Resource, &has); err != nil {
		return err
	}
	v := min(l.Value, has.Max)
	return syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: v, Max: v})
}

// become is exec, for a file that may just have been written.
func become(path string, args []string) error {
	for deadline := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Exec(path, args, os.Environ())
		if !errors.Is(err, syscall.ETXTBSY) || time.Now().After(deadline) {
			return &os.PathError{Op: "exec", Path: path, Err: err}
		}
	}
}

const (
	lookAt = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// devices could be made that are whole disks
	devices = unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR
	ofFiles = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// handled are all rights that the kernel's version of landlock can deny, as far as this program knows them.
func handled(version int) (rights uint64) {
	rights = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1 // version 1 has all up to here
	for _, since := range []struct {
		version int
		right   uint64
	}{{2, unix.LANDLOCK_ACCESS_FS_REFER}, {3, unix.LANDLOCK_ACCESS_FS_TRUNCATE}, {5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV}} {
		if version >= since.version {
			rights |= since.right
		}
	}
	return rights
}

// restrict denies this thread, and what it starts, all files but these.
func (p *Paths) restrict() error {
	version, _, no := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if no != 0 {
		return os.NewSyscallError("landlock", no)
	}
	all := handled(int(version))
	attr := unix.LandlockRulesetAttr{Handled_access_fs: all}
	set, _, no := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Handled_access_fs), 0)
	if no != 0 {
		return os.NewSyscallError("landlock_create_ruleset", no)
	}
	defer func() { _ = unix.Close(int(set)) }()
	for _, list := range []struct {
		paths  []string
		rights uint64
		some   bool // need not exist, or be reached
	}{{p.ReadOnly, lookAt, false}, {p.ReadWrite, all &^ devices, false}, {p.System, lookAt, true}, {p.Devices, all &^ devices, true}} {
		for _, path := range list.paths {
			err := allow(int(set), path, list.rights&all)
			if list.some && (errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)) {
				continue
			}
			if err != nil {
				return err
			}
		}
	}
	if _, _, no := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0); no != 0 {
		return os.NewSyscallError("landlock_restrict_self", no)
	}
	return nil
}

// allow adds a file, or a folder with all that is below it. The rule holds for what lies there now, not for what takes its place.
func allow(set int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, no := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(set), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	runtime.KeepAlive(&rule)
	if no != 0 {
		return &os.PathError{Op: "landlock_add_rule", Path: path, Err: no}
	}
	return nil
}
