package recording

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// kept is a finished file, as retention sees it.
type kept struct {
	path    string
	bytes   int64
	written time.Time
}

// Retain deletes what is beyond the bounds, oldest first. now is compared with the time of each file's last write.
func (r *Recorder) Retain(now time.Time) error {
	cfg := r.config()
	files, err := closedFiles(cfg.Dir, r.openPath())
	if err != nil || len(files) == 0 {
		return err
	}
	free, total, err := cfg.Disk.Free(cfg.Dir)
	if err != nil {
		free, total = 0, 0 // the other bounds hold without
	}
	n := excess(files, cfg.Retention, now, free, total)
	errs := []error{err}
	for _, f := range files[:n] {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		r.log.Info("old recording deleted", "path", f.path, "bytes", f.bytes)
		start, epoch, _ := parseName(f.path)
		r.observer.Segment(Segment{Path: f.path, Epoch: epoch, StartedAt: start, EndedAt: f.written, EndReason: EndDeleted})
	}
	return errors.Join(errs...)
}

// closedFiles lists our files in the order of their beginning, without the open one.
func closedFiles(dir, open string) ([]kept, error) {
	entries, err := os.ReadDir(dir) // sorted by name, that is by time
	if err != nil {
		return nil, err
	}
	var files []kept
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if _, _, ok := parseName(path); !ok || path == open || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // deleted meanwhile
		}
		files = append(files, kept{path, info.Size(), info.ModTime()})
	}
	return files, nil
}

// excess returns how many of the files, oldest first, are beyond the bounds. The newest always stays.
func excess(files []kept, keep Retention, now time.Time, free, total int64) int {
	var bytes int64
	for _, f := range files {
		bytes += f.bytes
	}
	// Files beyond age go wherever they stand, but the clock may have been wrong for a while: only a row of old ones at the front.
	n := 0
	for n < len(files)-1 {
		f := files[n]
		tooOld := keep.MaxAge > 0 && now.Sub(f.written) > keep.MaxAge
		tooMuch := keep.MaxBytes > 0 && bytes > keep.MaxBytes
		tooFull := keep.MinFree > 0 && total > 0 && float64(free) < keep.MinFree*float64(total)
		if !tooOld && !tooMuch && !tooFull {
			break
		}
		bytes -= f.bytes
		free += f.bytes
		n++
	}
	return n
}
