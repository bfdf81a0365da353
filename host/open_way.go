package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// passable is the mode of a folder through which everybody may pass, and which nobody but its owner can list.
const passable = 0o711

// makePrivate makes the host's folder in a data folder, and that one if it is missing, for this user alone: they hold what
// other users of the machine shall not read.
func makePrivate(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

// forOthers are the rights of all but the owner.
const forOthers = 0o077

// onTheWay are the folders of a data folder that others may pass through: those of the tasks, of the
// workers if they lie there, and of further hosts of the same program.
var onTheWay = map[string]bool{"recordings": true, "plugins": true, "nodes": true}

// openWay lets other users of this machine pass through the data folder to the folders of tasks that run as one of them. All
// that lies beside the way is closed to others before, each time, and nobody can list what there is. A data folder that is
// not this user's, or that somebody has opened to be read, is left as it is, but for the way itself.
func openWay(dataDir string) error {
	if err := openWayBelow(dataDir); err != nil {
		return fmt.Errorf("let tasks of other users into the data folder: %w", err)
	}
	return nil
}

func openWayBelow(dataDir string) error {
	info, err := os.Stat(dataDir)
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Geteuid() && (mode&forOthers == 0 || mode == passable) {
		if err := closeAll(dataDir, onTheWay); err != nil {
			return err
		}
		if err := letPass(dataDir); err != nil {
			return err
		}
	}
	recordings := filepath.Join(dataDir, "recordings")
	return errors.Join(letPass(recordings), letPass(filepath.Join(dataDir, "nodes")))
}

// letPass adds the right to pass to a folder, if it is there.
func letPass(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Mode().Perm()&0o011 == 0o011 {
		return err
	}
	return os.Chmod(dir, info.Mode().Perm()|0o011)
}

// closeAll takes the rights of others away from everything in a folder but some entries.
func closeAll(dir string, but map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || but[e.Name()] || e.Type()&fs.ModeSymlink != 0 || info.Mode().Perm()&forOthers == 0 {
			continue
		}
		if err := os.Chmod(filepath.Join(dir, e.Name()), info.Mode().Perm()&^forOthers); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
