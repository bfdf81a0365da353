package conf

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// writable resolves links and says whether the file may be written. Permission bits count for root as well: a user who
// takes them away means it.
func writable(path string) (real string, mode fs.FileMode, err error) {
	real, err = filepath.EvalSymlinks(path)
	if err != nil {
		return "", 0, rootCause(err)
	}
	st, err := os.Stat(real)
	if err != nil {
		return "", 0, rootCause(err)
	}
	if st.Mode().Perm()&0o222 == 0 {
		return "", 0, fmt.Errorf("the file is read-only: %w", fs.ErrPermission)
	}
	f, err := os.OpenFile(real, os.O_WRONLY, 0)
	if err != nil {
		return "", 0, rootCause(err)
	}
	return real, st.Mode().Perm(), f.Close()
}

// replaceFile writes a temporary file beside path and renames it, so that nobody ever reads half of it. A file that is
// replaced keeps its owner where that can be.
func replaceFile(path string, content []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return rootCause(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if st, statErr := os.Stat(path); statErr == nil {
		if owner, ok := st.Sys().(*syscall.Stat_t); ok {
			_ = os.Chown(f.Name(), int(owner.Uid), int(owner.Gid)) // fails for all but root, who alone needs it
		}
	}
	if _, err = f.Write(content); err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
