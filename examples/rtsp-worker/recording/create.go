package recording

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// create makes the open segment's file; where the name exists, because two segments begin in one millisecond, the next is taken.
func (r *Recorder) create() error {
	o := r.open
	for start, n := o.info.StartedAt, 0; ; start, n = start.Add(time.Millisecond), n+1 {
		path := filepath.Join(r.cfg.Dir, fileName(start, r.cfg.Epoch))
		f, err := r.cfg.Disk.Create(path)
		if errors.Is(err, fs.ErrExist) && n < 1000 {
			continue
		}
		if err != nil {
			return err
		}
		o.file, o.info.Path, o.info.StartedAt = f, path, start
		return nil
	}
}

// writeProblem says what people can do. The text is the same for the same fault, whatever the file.
func writeProblem(err error, dir string) error {
	cause := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		cause = pe.Err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("cannot record to %s: %w: free some space, or keep less by retentionBytes; recording goes on as soon as there is room", dir, cause)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("cannot record to %s: %w: make the folder writable for this user", dir, cause)
	}
	return fmt.Errorf("cannot record to %s: %w: check the disk; recording is tried again", dir, cause)
}
