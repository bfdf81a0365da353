package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/skalds-go/skalds"
)

const (
	lockFile   = "lock"
	schemaFile = "schema"
	// dirSchema is the layout of the data folder that this program writes.
	dirSchema = 1
)

// DataDir is a data folder that this process alone uses until Close.
type DataDir struct {
	Path string
	lock *flock.Flock
}

// LockDataDir makes the folder where there is none and locks it. It refuses a folder that another process uses, that a
// newer version of skalds has written, or that cannot be written. The lock goes with the process, however it ends.
func LockDataDir(dir string) (*DataDir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("use the data folder %s: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, unusable(abs, err)
	}
	path := filepath.Join(abs, lockFile)
	lock := flock.New(path, flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, unusable(abs, err)
	}
	if !got {
		return nil, skalds.Errorf(skalds.CodeConflict, "the data folder %s is in use by another skalds (%s): stop it or choose another --data-dir", abs, owner(path))
	}
	d := &DataDir{Path: abs, lock: lock}
	if err := d.claim(path); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// claim checks the schema and leaves our pid in the lock file, for the message that others get.
func (d *DataDir) claim(lockPath string) error {
	path := filepath.Join(d.Path, schemaFile)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := replaceFile(path, []byte(strconv.Itoa(dirSchema)+"\n")); err != nil {
			return unusable(d.Path, err)
		}
	case err != nil:
		return unusable(d.Path, err)
	default:
		have, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return skalds.Errorf(skalds.CodeConflict, "%s does not say which version of skalds wrote the folder: restore it or choose another --data-dir", path)
		}
		if have > dirSchema {
			return skalds.Errorf(skalds.CodeConflict,
				"the data folder %s was written by a newer version of skalds (schema %d, this one knows %d): upgrade skalds or choose another --data-dir",
				d.Path, have, dirSchema)
		}
	}
	if err := os.WriteFile(lockPath, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return unusable(d.Path, err)
	}
	return nil
}

// Close gives the folder free. Safe to call twice.
func (d *DataDir) Close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("unlock the data folder %s: %w", d.Path, err)
	}
	return nil
}

// owner names the process that holds the lock, as well as it is known.
func owner(lockPath string) string {
	b, err := os.ReadFile(lockPath)
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return "pid " + pid
	}
	return "its pid is not known"
}

func unusable(dir string, err error) error {
	text := fmt.Sprintf("the data folder %s cannot be used: check its permissions and free space, or choose another --data-dir", dir)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		text = fmt.Sprintf("the disk under %s is full: free some space there, or choose another --data-dir", dir)
	}
	return &skalds.Error{Code: skalds.CodeUnavailable, Err: err, Message: text}
}
