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
	for _, sub := range []string{"host", "logs", "recordings", "plugins", "nodes/2"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "recordings"), 0o700); err != nil {
		t.Fatal(err)
	}
	check := func(want map[string]os.FileMode) {
		t.Helper()
		for path, mode := range want {
			if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%q: %v, %v, want %o", path, info.Mode(), err, mode)
			}
		}
	}
	if err := openWay(dir); err != nil {
		t.Fatal(err)
	}
	check(map[string]os.FileMode{"": 0o711, "recordings": 0o711, "host": 0o700, "logs": 0o700, "plugins": 0o755, "nodes": 0o755})
	later := filepath.Join(dir, "secrets") // is made later
	if err := os.Mkdir(later, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := openWay(dir); err != nil {
		t.Fatal(err)
	}
	check(map[string]os.FileMode{"": 0o711, "secrets": 0o700})
	for path, mode := range map[string]os.FileMode{"": 0o755, "host": 0o755, "recordings": 0o750} { // as somebody wants it
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := openWay(dir); err != nil {
		t.Fatal(err)
	}
	check(map[string]os.FileMode{"": 0o755, "host": 0o755, "recordings": 0o751})
}
