package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestTaskLog(t *testing.T) {
	for _, split := range []bool{true, false} {
		t.Run(fmt.Sprintf("file=%v", split), func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.DataDir, cfg.LogSplit = t.TempDir(), split
			logs := newTaskLogs(cfg, hclog.NewNullLogger())
			l, err := logs.open("cam/1")
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				l.write(time.Now(), hclog.Info, 1, fmt.Sprintf("line %d", i))
			}
			lines, reader, err := logs.follow("cam/1", 2)
			if err != nil || len(lines) != 2 || !strings.HasSuffix(lines[1], "#1 line 4") {
				t.Fatalf("%q %v", lines, err)
			}
			l.write(time.Now(), hclog.Warn, 2, "line 5")
			if got := <-reader.Lines; !strings.Contains(got, "[WARN ] #2 line 5") {
				t.Errorf("followed %q", got)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if _, open := <-reader.Lines; open {
				t.Error("the reader does not end with the log")
			}
			reader.Close()
			lines, err = logs.tail("cam/1", 100)
			if want := map[bool]int{true: 6, false: 0}[split]; err != nil || len(lines) != want {
				t.Errorf("%d lines after the end, want %d (%v)", len(lines), want, err)
			}
		})
	}
}

func TestTaskLogDropsForASlowReader(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir = t.TempDir()
	l, err := newTaskLogs(cfg, hclog.NewNullLogger()).open("a")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, r, err := l.follow(0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range followBuffer + 10 {
		l.write(time.Now(), hclog.Info, 1, fmt.Sprint(i))
	}
	<-r.Lines
	<-r.Lines
	l.write(time.Now(), hclog.Info, 1, "after")
	var last string
	for range followBuffer {
		if line := <-r.Lines; strings.Contains(line, "dropped") {
			last = line
		}
	}
	if last != "… 10 lines dropped: the reader is too slow" {
		t.Errorf("%q", last)
	}
}

func TestTailReadsOnInTheRotatedFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("cam.log", "c\nd\n")
	write("cam-2026-01-02T03-04-05.000-size.log", "old\n")
	write("cam-2026-01-03T03-04-05.000-size.log", "a\nb\n")
	write("cam-zoo.log", "another task\n")
	got, err := tailFiles(filepath.Join(dir, "cam.log"), 3)
	if err != nil || strings.Join(got, "") != "bcd" {
		t.Errorf("%q %v", got, err)
	}
}

func TestALogIsRotatedBySize(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir, cfg.LogRotationMB = t.TempDir(), 1
	logs := newTaskLogs(cfg, hclog.NewNullLogger())
	l, err := logs.open("cam")
	if err != nil {
		t.Fatal(err)
	}
	files := func() (sizes []int64) {
		entries, err := os.ReadDir(filepath.Join(cfg.DataDir, "logs"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			st, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, st.Size())
		}
		return sizes
	}
	text := strings.Repeat("x", 1000)
	n := 0
	for ; n == 0 || len(files()) < 2; n++ { // the second file is that of the first rotation
		if n > 3000 {
			t.Fatalf("not rotated after %d lines: %v", n, files())
		}
		l.write(time.Now(), hclog.Info, 1, fmt.Sprintf("%s line %d", text, n))
	}
	l.write(time.Now(), hclog.Info, 1, fmt.Sprintf("%s line %d", text, n))
	for _, size := range files() {
		if size > 1<<20 {
			t.Errorf("a file has %d bytes, at most 1 MiB is wanted", size)
		}
	}
	lines, err := l.tail(100)
	if err != nil || len(lines) != 100 {
		t.Fatalf("%d lines (%v)", len(lines), err)
	}
	for i, line := range lines {
		if want := fmt.Sprintf(" line %d", n-99+i); !strings.HasSuffix(line, want) {
			t.Fatalf("line %d of the last 100 ends in %q, want %q", i, line[len(line)-20:], want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if lines, err := logs.tail("cam", 100); err != nil || len(lines) != 100 {
		t.Errorf("%d lines after the end (%v)", len(lines), err)
	}
}

func TestSweepRemovesOldLogsOfTasksThatDoNotRun(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir = t.TempDir()
	logs := newTaskLogs(cfg, hclog.NewNullLogger())
	for _, id := range []string{"gone", "running", "young"} {
		l, err := logs.open(id)
		if err != nil {
			t.Fatal(err)
		}
		l.write(time.Now(), hclog.Info, 1, "x")
		if id == "running" {
			defer l.Close()
		} else if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if id != "young" {
			old := time.Now().Add(-100 * time.Hour)
			if err := os.Chtimes(logs.path(id), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := logs.sweep(time.Now()); n != 1 {
		t.Errorf("removed %d files", n)
	}
	if _, err := os.Stat(logs.path("gone")); !os.IsNotExist(err) {
		t.Error("the old file is still there")
	}
}

func TestALogThatGrowsIsRotatedAndBounded(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir, cfg.LogRotationMB = t.TempDir(), 1
	logs := newTaskLogs(cfg, hclog.NewNullLogger())
	l, err := logs.open("a")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text := strings.Repeat("x", 32<<10)
	most := 0
	seen := map[string]bool{}
	for i := 0; len(seen) < rotatedKept+4; i++ {
		l.write(time.Now(), hclog.Info, 1, fmt.Sprint(i, " ", text))
		rotated := backups(logs.path("a"))
		for _, f := range rotated {
			seen[f] = true
			if st, err := os.Stat(f); err != nil || st.Size() > 1<<20 {
				t.Fatalf("%s: %v %v", f, st, err)
			}
		}
		most = max(most, len(rotated))
	}
	if most < rotatedKept || most > rotatedKept+1 {
		t.Errorf("%d rotated files", most)
	}
	if lines, err := logs.tail("a", 40); err != nil || len(lines) < 31 {
		t.Errorf("%d lines over the last rotation, %v", len(lines), err)
	}
}
