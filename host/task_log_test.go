package host

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
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
			if err != nil || len(lines) != 2 || !strings.HasSuffix(lines[1], "#1 host: line 4") {
				t.Fatalf("%q %v", lines, err)
			}
			l.write(time.Now(), hclog.Warn, 2, "line 5")
			if got := <-reader.Lines; !strings.Contains(got, "[WARN ] #2 host: line 5") {
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

// bounded is a log with files of 1 MiB at most, which are smaller than the longest line.
func bounded(t *testing.T) (*taskLogs, *taskLog) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.DataDir, cfg.LogRotationMB = t.TempDir(), 1
	logs := newTaskLogs(cfg, hclog.NewNullLogger())
	l, err := logs.open("a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return logs, l
}

func TestEveryLineSaysWhereItComesFrom(t *testing.T) {
	_, l := bounded(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	for _, line := range []plugins.Line{
		{Stream: plugins.StreamOut, Level: hclog.Info, Text: "printed"},
		{Stream: plugins.StreamErr, Level: hclog.Error, Text: "panic: no"},
		{Stream: plugins.StreamLog, Level: hclog.Debug, Text: "two\nlines"},
		{Stream: plugins.StreamErr, Text: "the beginning", Continued: true},
	} {
		line.At = at
		l.worker(3, line)
	}
	l.write(at, hclog.Warn, 3, "ours")
	got, err := l.tail(100)
	want := []string{
		"2026-01-02T03:04:05.006Z [INFO ] #3 out: printed",
		"2026-01-02T03:04:05.006Z [ERROR] #3 err: panic: no",
		"2026-01-02T03:04:05.006Z [DEBUG] #3 log: two",
		"2026-01-02T03:04:05.006Z [DEBUG] #3 log: lines",
		"2026-01-02T03:04:05.006Z [INFO ] #3 err+: the beginning",
		"2026-01-02T03:04:05.006Z [WARN ] #3 host: ours",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %q", err, got)
	}
}

func TestLinesAreNoLongerThanAFileMayBe(t *testing.T) {
	logs, l := bounded(t)
	const whole, long = 1_000_000, 2_000_000
	for _, size := range []int{whole, long} {
		l.worker(1, plugins.Line{Stream: plugins.StreamOut, Text: strings.Repeat("ä", size/2)})
	}
	if l.failed {
		t.Fatal("a line could not be written")
	}
	lines, err := logs.tail("a", 2) // of the last file and the one before
	if err != nil || len(lines) != 2 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	pieces := 0
	for n, line := range lines {
		head, text, _ := strings.Cut(line, ": ")
		pieces += len(text)
		if strings.HasSuffix(head, "out+") != (n == 0) || strings.Trim(text, "ä") != "" {
			t.Errorf("piece %d: %s, %d bytes", n, head, len(text))
		}
	}
	if pieces != long {
		t.Errorf("pieces of %d bytes together, want %d", pieces, long)
	}
	first, err := os.ReadFile(backups(logs.path("a"))[0])
	if err != nil || strings.Count(string(first), "\n") != 1 || len(first) < whole {
		t.Errorf("%d bytes in the first file, %v", len(first), err)
	}
	if l.ringLen > logRingBytes {
		t.Errorf("%d bytes are kept in memory", l.ringLen)
	}
	if r := l.recent(attemptLogTail); len(r) > attemptLogTail || len(r) < attemptLogTail-8 {
		t.Errorf("%d bytes for a report", len(r))
	}
}

func TestASlowReaderHoldsFewBytes(t *testing.T) {
	_, l := bounded(t)
	_, r, err := l.follow(0)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 500_000)
	for range 30 {
		l.worker(1, plugins.Line{Stream: plugins.StreamOut, Text: text})
	}
	held := len(r.Lines)
	if size := r.waiting.Load(); size < followBytes || size > followBytes+600_000 {
		t.Errorf("%d bytes wait", size)
	}
	for range held {
		r.took(<-r.Lines)
	}
	l.write(time.Now(), hclog.Info, 1, "after")
	if notice, line := <-r.Lines, <-r.Lines; notice != fmt.Sprintf("… %d lines dropped: the reader is too slow", 30-held) || !strings.HasSuffix(line, "after") {
		t.Errorf("%q, %q", notice, line)
	}
}

func TestATailIsBounded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cam.log")
	line := strings.Repeat("x", 999_999) + "\n"
	for _, tt := range []struct{ lines, ask, want int }{{3, 2, 2}, {3, 3, 3}, {3, 9, 3}, {30, 30, maxTail / 1_000_000}, {3, 0, 0}, {0, 5, 0}} {
		if err := os.WriteFile(path, []byte(strings.Repeat(line, tt.lines)), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := tailFile(path, tt.ask)
		if err != nil || len(got) != tt.want {
			t.Errorf("%+v: %d lines, %v", tt, len(got), err)
		}
		for _, l := range got {
			if len(l) != 999_999 {
				t.Errorf("%+v: a line of %d bytes", tt, len(l))
			}
		}
	}
}

// A worker's long line is in the log as it was written, and a worker that never stops writing ends when it is told.
func TestAWorkerThatWritesMuch(t *testing.T) {
	srv, posts := logSink(t)
	b, m, _ := nodeHost(t)
	b.send(command(scriptSpec("long", "Script", script{Do: "pour", N: 1_000_000}), 1, 1))
	logs := newTaskLogs(m.config(), hclog.NewNullLogger())
	want := "#1 out: " + strings.Repeat("x", 1_000_000)
	eventually(t, "the line is in the log", soon, func() bool {
		lines, err := logs.tail("long", 10)
		return err == nil && slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, want) })
	})
	c := command(scriptSpec("flood", "Script", script{Do: "pour", N: 200, Text: "on"}), 1, 1)
	b.send(c)
	waitRunning(t, b, "flood", 1)
	b.commands <- skalds.NodeMessage{NodeID: "n1", Stream: &skalds.StreamRequest{ID: "s1", URL: srv.URL, Token: "t0ken", Kind: "logs", TaskID: "flood", Tail: 50, Follow: true}}
	said := regexp.MustCompile(`\[WARN \] #1 host: dropped [0-9,]+ lines \([0-9]+ [kM]B\) in [0-9.]+ s: `)
	p := <-posts
	for line := range p.lines {
		if said.MatchString(line) {
			break
		}
	}
	began := time.Now()
	b.send(gone(c, "cancelled", 2))
	last := ""
	for last = range p.lines { // to the end, which is that of the task
	}
	if took := time.Since(began); took > soon || !strings.Contains(last, "#1 host: ended: cancelled") {
		t.Errorf("it took %s to end, the last line is %q", took, last)
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
