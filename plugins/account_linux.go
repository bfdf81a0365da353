package plugins

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// way is a file or folder, and what somebody must be able to do with it (unix.X_OK and its like).
type way struct {
	path string
	mode uint32
}

// reach tries whether the user gets to all ways, as that user: modes alone do not tell where there are access lists. Its error
// names the first part of a path that is closed, and what to do.
func (a Account) reach(ways []way) error {
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends, and with it what it has become
		result <- a.reachOnThisThread(ways)
	}()
	err := <-result
	if dumpable == 1 { // a change of the user marks the memory of all threads
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	}
	return err
}

// reachOnThisThread makes the calling thread the user where files are concerned. Other threads stay what they are.
func (a Account) reachOnThisThread(ways []way) error {
	if _, _, no := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); no != 0 {
		return os.NewSyscallError("setgroups", no)
	}
	_, errGID := unix.SetfsgidRetGid(int(a.GID))
	_, errUID := unix.SetfsuidRetUid(int(a.UID))
	if now, _ := unix.SetfsuidRetUid(-1); uint32(now) != a.UID || errGID != nil || errUID != nil {
		return fmt.Errorf("cannot try what user %d reaches: %w", a.UID, errors.Join(syscall.EPERM, errGID, errUID))
	}
	for _, w := range ways {
		if err := a.pass(w); err != nil {
			return err
		}
	}
	return nil
}

// pass goes along a path.
func (a Account) pass(w way) error {
	for at := 1; at < len(w.path); at++ {
		if w.path[at] != filepath.Separator {
			continue
		}
		dir := w.path[:at]
		if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS); errors.Is(err, unix.EACCES) {
			return fmt.Errorf("user %d cannot reach %s, because %s is closed to it: run `chmod o+x %s`, or `setfacl -m u:%d:x %s` to let in nobody else", a.UID, w.path, dir, dir, a.UID, dir)
		} else if err != nil {
			return &os.PathError{Op: "reach", Path: dir, Err: err}
		}
	}
	err := unix.Faccessat(unix.AT_FDCWD, w.path, w.mode, unix.AT_EACCESS)
	if errors.Is(err, unix.EACCES) && w.mode == unix.X_OK {
		return fmt.Errorf("user %d may not execute %s: run `chmod o+rx %s`", a.UID, w.path, w.path)
	}
	if err != nil {
		return &os.PathError{Op: fmt.Sprintf("write as user %d", a.UID), Path: w.path, Err: err}
	}
	return nil
}

// takeOver makes the user the owner of a folder and of all in it, which another user may have written. What lies in it may be
// exchanged meanwhile by whoever could write there: nothing outside is touched, nor a file that has another name elsewhere.
func (a Account) takeOver(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = a.takeFile(root, name)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

func (a Account) takeFile(root *os.Root, name string) error {
	f, err := root.OpenFile(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Uid == a.UID && st.Gid == a.GID || st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink != 1 {
		return nil
	}
	if err := unix.Fchownat(int(f.Fd()), "", int(a.UID), int(a.GID), unix.AT_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "chown", Path: name, Err: err}
	}
	return nil
}
