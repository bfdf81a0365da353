package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/skalds-go/skalds"
)

// leastRoom is the free space below which a write that failed is taken to have failed for want of it.
const leastRoom = 1 << 20

// fault says what failed and, where the file is to blame, what to do about it.
func (s *Store) fault(what string, err error) error {
	if err == nil {
		return nil
	}
	var known *skalds.Error
	if errors.As(err, &known) || errors.Is(err, skalds.ErrRevision) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, errClosed) {
		return &skalds.Error{Code: skalds.CodeUnavailable, Message: what, Err: err}
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", what, err)
	}
	advice := ""
	code := e.Code() & 0xff
	shm := e.Code() == lib.SQLITE_IOERR_SHMSIZE // the file beside the store that cannot grow: so SQLite says it
	if shm || (code == lib.SQLITE_IOERR || code == lib.SQLITE_CANTOPEN) && full(filepath.Dir(s.path)) {
		code = lib.SQLITE_FULL
	}
	switch code {
	case lib.SQLITE_FULL:
		advice = fmt.Sprintf("%s: the disk under %s is full: free some space there", what, filepath.Dir(s.path))
	case lib.SQLITE_READONLY:
		advice = fmt.Sprintf("%s: %s cannot be written: check the permissions of the file and its folder, and whether the disk is mounted read-only", what, s.path)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		advice = fmt.Sprintf("%s: %s cannot be opened: check that its folder exists and may be written", what, s.path)
	case lib.SQLITE_IOERR:
		advice = fmt.Sprintf("%s: the disk under %s fails: check the kernel's log", what, filepath.Dir(s.path))
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		advice = fmt.Sprintf("%s: %s is damaged or no store of skalds: move it away and restore a backup", what, s.path)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		advice = fmt.Sprintf("%s: another program has %s locked: end it", what, s.path)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
	return &skalds.Error{Code: skalds.CodeUnavailable, Message: advice, Err: err}
}

// full reports whether a disk has no room left, for data or for another file. SQLite has no word for it where a file beside
// the store cannot be made or cannot grow: it says that it cannot open or that the disk fails.
func full(dir string) bool {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return false
	}
	return uint64(st.Bavail)*uint64(st.Bsize) < leastRoom || st.Files > 0 && st.Ffree == 0
}
