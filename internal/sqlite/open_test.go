package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/sqlite"
)

// crashEnv makes this test binary a process that creates tasks in the file named until it is killed.
const crashEnv = "SKALDS_SQLITE_CRASH"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		createForEver(path)
	}
	os.Exit(m.Run())
}

func createForEver(path string) {
	ctx := context.Background() // this is a main
	s, err := sqlite.Open(path, nil)
	for i := 0; err == nil; i++ {
		t := &skalds.Task{Spec: skalds.Spec{ID: fmt.Sprint("t", i), ClassName: "C", CreateDateTime: int64(i)}, LifecycleStatus: skalds.Created}
		if _, _, err = s.Create(ctx, t); err != nil {
			break
		}
		t.LifecycleStatus = skalds.Running
		if err = s.Save(ctx, t); err == nil {
			fmt.Println(t.ID) // accepted
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?#%20", "skalds.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := s.Create(t.Context(), task("one", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatalf("close, twice: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file lies elsewhere: %v", err)
	}
	s, err = sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	got, err := s.Task(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestKilled kills a process in the middle of its writes: whatever it has said to be accepted is there.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skalds.db")
	last := ""
	for range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), crashEnv+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		child.Stderr = &stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		n := 0
		for lines.Scan() {
			last = lines.Text()
			if n++; n == 100 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // says that it was killed
		if n < 100 {
			t.Fatalf("the process ended after %d tasks: %s", n, stderr.String())
		}
		s, err := sqlite.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Task(t.Context(), last)
		if err != nil || got.LifecycleStatus != skalds.Running {
			t.Errorf("the last task accepted, %s: %+v, %v", last, got, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, path+".old"); err != nil { // the next process numbers from 0 again
			t.Fatal(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(t *testing.T, path string)
		want  string
	}{
		{"a newer schema", func(t *testing.T, path string) {
			s, err := sqlite.Open(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.Exec(`PRAGMA user_version = 7`)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "was written by a newer version of skalds (schema 7, this one knows 2): upgrade skalds or choose another --data-dir"},
		{"no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is damaged or no store of skalds"},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "cannot be opened"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "skalds.db")
			c.setup(t, path)
			s, err := sqlite.Open(path, nil)
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, want %q in it", err, c.want)
			}
		})
	}
	if _, err := sqlite.Open(filepath.Join(t.TempDir(), "nowhere", "skalds.db"), nil); !errors.Is(err, skalds.ErrUnavailable) {
		t.Errorf("a folder that does not exist: %v", err)
	}
}
