package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
)

// TestBackupAndRestore saves a standalone while it works, and puts that back: into a new folder, and over what it has become meanwhile.
func TestBackupAndRestore(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	p := standalone(t, dir)
	const ended = 20
	for i := range ended {
		p.create(task(fmt.Sprint("done", i), "finish"))
	}
	p.create(task("long", "wait"))
	for i := range ended {
		if r := p.ends(fmt.Sprint("done", i)); r.LifecycleStatus != skalds.Finished {
			t.Fatalf("%s is %s", r.ID, r.LifecycleStatus)
		}
	}
	epoch := p.runs("long").Epoch

	file := filepath.Join(files, "skalds.backup.gz")
	out, errOut, code := command(t, nil, "backup", "--data-dir", dir, file)
	if code != 0 || !strings.Contains(out, fmt.Sprintf("tasks: %d", ended+1)) {
		t.Fatalf("backup: %d\n%s%s", code, out, errOut)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(files, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	p.create(task("later", "finish"))
	p.ends("later")

	// Over a running program, and over what is there without a word, nothing is restored.
	refused := func(want string, args ...string) {
		t.Helper()
		out, errOut, code := command(t, nil, append([]string{"restore"}, args...)...)
		if code == 0 || !strings.Contains(errOut, want) {
			t.Errorf("restore %v: %d, %s%s; want %q", args, code, out, errOut, want)
		}
	}
	refused("is in use by another skalds", "--data-dir", dir, "--force", file)
	if code := p.stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	refused("--force replaces them", "--data-dir", dir, file)
	refused("no such file", "--data-dir", dir, "--force", filepath.Join(files, "nowhere"))

	// What is damaged is found before anything is changed.
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(files, "damaged")
	for want, b := range map[string][]byte{
		"the backup is cut off":               whole[:len(whole)-20],
		"the backup is cut off after line":    plain[:len(plain)-200],
		"has format 7":                        bytes.Replace(plain, []byte(`"version":1,`), []byte(`"version":7,`), 1),
		"not as it was written: its digest":   bytes.Replace(plain, []byte(`"long"`), []byte(`"lung"`), 1),
		"the backup is not as it was written": append(append([]byte{}, whole[:len(whole)-8]...), 1, 2, 3, 4, 5, 6, 7, 8),
		"no backup of skalds":                 []byte("SQLite format 3\x00"),
	} {
		writeFile(t, damaged, string(b), 0o600)
		refused(want, "--data-dir", dir, "--force", damaged)
	}

	// Over what it has become: hosts and bus have seen later things, which count as older.
	out, errOut, code = command(t, nil, "restore", "--data-dir", dir, "--force", file)
	if code != 0 || !strings.Contains(out, fmt.Sprintf("tasks: %d", ended+1)) {
		t.Fatalf("restore: %d\n%s%s", code, out, errOut)
	}
	if _, err := os.Stat(filepath.Join(dir, "skalds.db.before-restore")); err != nil {
		t.Errorf("the former store: %v", err)
	}
	p = standalone(t, dir)
	if _, err := p.Task(t.Context(), "later"); skalds.CodeOf(err) != skalds.CodeNotFound {
		t.Errorf("a task of after the backup: %v", err)
	}
	if r := p.runs("long"); r.Epoch < epoch {
		t.Errorf("epoch %d after %d", r.Epoch, epoch)
	}
	if r := p.ends("done3"); r.LifecycleStatus != skalds.Finished {
		t.Errorf("a task that had ended is %s", r.LifecycleStatus)
	}
	p.create(task("new", "finish"))
	p.ends("new")
	p.stop()

	// Into a new folder, from a file that is not compressed.
	writeFile(t, damaged, string(plain), 0o600)
	other := filepath.Join(t.TempDir(), "not there yet")
	if out, errOut, code := command(t, nil, "restore", "--data-dir", other, damaged); code != 0 {
		t.Fatalf("restore: %d\n%s%s", code, out, errOut)
	}
	p = standalone(t, other)
	p.runs("long")
	p.until("all tasks are there", func(ctx context.Context) bool {
		_, err := p.Task(ctx, fmt.Sprint("done", ended-1))
		return err == nil
	})
}

// TestBackupOfNothing is told what is wrong.
func TestBackupOfNothing(t *testing.T) {
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer")
	if err := os.Mkdir(newer, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(newer, "skalds.db"), "this is no store, but long enough to have a header of a hundred bytes, which is what SQLite looks at first", 0o600)
	for want, args := range map[string][]string{
		"there is no store at":       {"--data-dir", dir, filepath.Join(dir, "f")},
		"is damaged or no store":     {"--data-dir", newer, filepath.Join(dir, "f")},
		"no such file or directory":  {"--data-dir", dir, filepath.Join(dir, "nowhere", "f")},
		"is no file":                 {"--data-dir", dir, dir},
		"name the file":              {},
		"is too much: name one file": {"a", "b"},
	} {
		out, errOut, code := command(t, nil, append([]string{"backup"}, args...)...)
		if code == 0 || !strings.Contains(errOut, want) {
			t.Errorf("backup %v: %d, %s%s; want %q", args, code, out, errOut, want)
		}
	}
}
