//go:build unix

package plugins

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhereTheRunFolderLies(t *testing.T) {
	short, err := os.MkdirTemp("/tmp", "run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	t.Setenv("TMPDIR", short)
	file := filepath.Join(short, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(short, strings.Repeat("x", maxBase))
	for name, tt := range map[string]struct {
		dir    string
		places []string
		want   string
	}{
		"the first place":               {long, []string{short + "/a", short + "/b"}, short + "/a/name"},
		"a place that takes nothing":    {long, []string{file, short + "/b"}, short + "/b/name"},
		"a place with too long a path":  {short + "/run", []string{long}, short + "/run"},
		"no place":                      {short + "/run", nil, short + "/run"},
		"no place, and too long a path": {long, nil, short + "/name"},
	} {
		if got, err := runBase(tt.dir, "name", tt.places); got != tt.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, tt.want)
		} else if info, err := os.Stat(got); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := runBase(file, "name", nil); err == nil || !strings.HasPrefix(err.Error(), "run folder: ") {
		t.Errorf("a file as a run folder: %v", err)
	}
}

func TestARunFolderOfSomebodyElseIsRefused(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if err := checkOwner(filepath.Join(dir, "link")); err == nil || !strings.Contains(err.Error(), "no folder") {
		t.Errorf("got %v", err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(real, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if err := checkOwner(real); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
			t.Errorf("got %v", err)
		}
	}
}
