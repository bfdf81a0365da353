package embedded_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/embedded"
)

func lock(t testing.TB, dir string) *embedded.DataDir {
	t.Helper()
	d, err := embedded.LockDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func TestLockDataDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	first := lock(t, dir)
	if first.Path != dir {
		t.Errorf("the path is %s, want %s", first.Path, dir)
	}
	_, err := embedded.LockDataDir(dir)
	if !errors.Is(err, skalds.ErrConflict) || !strings.Contains(err.Error(), "is in use by another skalds (pid "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("locking it twice: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lock(t, dir).Close(); err != nil {
		t.Errorf("after the first one has ended: %v", err)
	}
}

// TestLockOfAnother locks the folder in another process, which is then killed.
func TestLockOfAnother(t *testing.T) {
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=lock", childDirEnv+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line := make([]byte, 7); true {
		if _, err := out.Read(line); err != nil || string(line) != "locked\n" {
			t.Fatalf("the other process says %q, %v", line, err)
		}
	}
	_, err = embedded.LockDataDir(dir)
	if err == nil || !strings.Contains(err.Error(), "(pid "+strconv.Itoa(child.Process.Pid)+"): stop it or choose another --data-dir") {
		t.Errorf("a folder that another process uses: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // says that it was killed
	lock(t, dir)
}

func TestLockRefuses(t *testing.T) {
	for _, c := range []struct{ name, schema, want string }{
		{"a newer version", "7\n", "was written by a newer version of skalds (schema 7, this one knows 1): upgrade skalds or choose another --data-dir"},
		{"rubbish", "seven", "does not say which version of skalds wrote the folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "schema"), []byte(c.schema), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := embedded.LockDataDir(dir); !errors.Is(err, skalds.ErrConflict) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("the error is %v, want %q in it", err, c.want)
			}
			// Refusing leaves the folder as it was, and free.
			if err := os.WriteFile(filepath.Join(dir, "schema"), []byte("1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			lock(t, dir)
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/skalds"} {
		if _, err := embedded.LockDataDir(dir); !errors.Is(err, skalds.ErrUnavailable) || !strings.Contains(err.Error(), "cannot be used") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
