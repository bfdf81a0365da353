package cgroup

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// kernel is what changes something in a hierarchy. Reading is reading of files; these three answer by rules of their own,
// which tests play on files in a folder.
type kernel interface {
	mkdir(path string) error
	rmdir(path string) error
	write(path, value string) error
}

// linux is the kernel itself.
type linux struct{}

func (linux) mkdir(path string) error { return os.Mkdir(path, 0o755) }

func (linux) rmdir(path string) error {
	if err := retried(func() error { return unix.Rmdir(path) }); err != nil {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}

// write writes a value in one piece, because the kernel takes each write as a whole. It makes no file.
func (linux) write(path, value string) error {
	var fd int
	err := retried(func() (err error) {
		fd, err = unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	if err := retried(func() error { _, err := unix.Write(fd, []byte(value)); return err }); err != nil {
		return &fs.PathError{Op: "write " + value + " to", Path: path, Err: err}
	}
	return nil
}

// retried does again what a signal has interrupted.
func retried(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
