package recording

import (
	"io"
	"os"
)

// Disk is where recordings are written. Reading, listing and deleting go to the operating system directly.
type Disk interface {
	// Create makes a file that must not exist yet.
	Create(path string) (File, error)
	// Free returns the bytes that are left to us on the disk of dir, and its size.
	Free(dir string) (free, total int64, err error)
}

// File is an open recording.
type File interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

// osDisk is the operating system's.
type osDisk struct{}

// Create locks the file for as long as it is open, so that a Janitor in another process leaves it alone.
func (osDisk) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return f, nil
}

func (osDisk) Free(dir string) (free, total int64, err error) { return freeSpace(dir) }
