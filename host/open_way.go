package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// forOthers are the rights of all who are neither the owner nor of its group.
const forOthers = 0o007

// openWay lets other users of this machine pass through the data folder to the folders of tasks that run as one of them. All
// that lies beside the way is closed to others before, and nobody can list what there is. A data folder that is not this
// user's, or that is open already, is left as it is: then somebody else has decided.
func openWay(dataDir string) error {
	info, err := os.Stat(dataDir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&forOthers != 0 {
		return nil
	}
	recordings := filepath.Join(dataDir, "recordings")
	if err := errors.Join(closeAll(dataDir, "recordings"), closeAll(recordings, "")); err != nil {
		return fmt.Errorf("let tasks of other users into the data folder: %w", err)
	}
	for _, dir := range []string{recordings, dataDir} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return fmt.Errorf("let tasks of other users into the data folder: %w", err)
		}
	}
	return nil
}

// closeAll takes the rights of others away from everything in a folder but one entry.
func closeAll(dir, but string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() == but || e.Type()&fs.ModeSymlink != 0 || info.Mode().Perm()&forOthers == 0 {
			continue
		}
		if err := os.Chmod(filepath.Join(dir, e.Name()), info.Mode().Perm()&^forOthers); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
