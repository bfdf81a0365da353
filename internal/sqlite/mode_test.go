//go:build unix

package sqlite

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyTheOwnerReadsTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	for range 2 { // a new one, and one of a version that left it open
		s, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) < 2 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", file, info.Mode(), err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
