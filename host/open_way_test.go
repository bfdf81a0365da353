package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheWayToATasksFolderIsOpenAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"host", "logs", "recordings/a", "recordings/b"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "settings"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := openWay(dir); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]os.FileMode{"": 0o711, "recordings": 0o711, "host": 0o750, "logs": 0o750, "settings": 0o640, "recordings/a": 0o750} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v, want %o", path, info.Mode(), err, want)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // as somebody wants it
		t.Fatal(err)
	}
	open := filepath.Join(dir, "host")
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := openWay(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(open); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("in a folder that is open already: %v, %v", info.Mode(), err)
	}
}
