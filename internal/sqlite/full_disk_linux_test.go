package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/sqlite"
)

// smallDisk mounts a disk that holds little. Only root may; as root, in a container that forbids it, the test is skipped too.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("skalds-test", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, options)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("this needs a small disk, and uid %d may not mount one here: %v", os.Geteuid(), err)
	}
	if err != nil {
		t.Fatalf("mount %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// A store on a disk without room for the files beside it says so, and opens as soon as there is.
func TestOpenOnAFullDisk(t *testing.T) {
	for name, tt := range map[string]struct {
		options string
		fill    func(dir string) error // until it fails
	}{
		"no room": {"size=8m", func(dir string) error {
			f, err := os.Create(filepath.Join(dir, "ballast"))
			if err != nil {
				return err
			}
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			return errors.Join(err, f.Close())
		}},
		"no more files": {"size=8m,nr_inodes=20", func(dir string) error {
			for i := 0; ; i++ {
				if err := os.Mkdir(filepath.Join(dir, fmt.Sprint("ballast", i)), 0o700); err != nil {
					return err
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t, tt.options)
			path := filepath.Join(dir, "skalds.db")
			open := func() error {
				s, err := sqlite.Open(path, nil)
				if err != nil {
					return err
				}
				return s.Close()
			}
			if err := open(); err != nil {
				t.Fatal(err)
			}
			if err := tt.fill(dir); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("the disk is not full: %v", err)
			}
			err := open()
			var e *skalds.Error
			if !errors.As(err, &e) || e.Code != skalds.CodeUnavailable || !strings.Contains(e.Message, "the disk under "+dir+" is full: free some space there") {
				t.Errorf("opened on a full disk: %v", err)
			}
			ballast, err := filepath.Glob(filepath.Join(dir, "ballast*"))
			for _, f := range ballast {
				err = errors.Join(err, os.Remove(f))
			}
			if err := errors.Join(err, open()); err != nil {
				t.Errorf("opened with room again: %v", err)
			}
		})
	}
}
