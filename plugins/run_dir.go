//go:build unix

package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// maxBase is how long the path of a run folder may be: that of a socket has at most 107 bytes, of which we and go-plugin add
// up to 48.
const maxBase = 56

// runBase makes the run folder: by its name in the first of the places that takes it, else at dir, or where that is too long
// a path, in the folder for temporary files.
func runBase(dir, name string, places []string) (string, error) {
	for _, place := range places {
		if base := filepath.Join(place, name); len(base) <= maxBase && makeRunDir(base) == nil {
			return base, nil
		}
	}
	if len(dir) > maxBase {
		dir = filepath.Join(os.TempDir(), name)
	}
	return dir, makeRunDir(dir)
}

// makeRunDir makes the run folder where it is missing, for this user alone.
func makeRunDir(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = checkOwner(dir)
	}
	if err == nil {
		err = os.Chmod(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return nil
}

// checkOwner refuses a run folder that is a link or belongs to somebody else, who could then read tokens.
func checkOwner(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", dir)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, not to this one (%d)", dir, st.Uid, os.Geteuid())
	}
	return nil
}
