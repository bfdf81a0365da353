package procstats

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The upper bounds leave room for the race detector, which more than doubles memory.
func TestMemoryFigures(t *testing.T) {
	one, two := start(t, "memory 67108864"), start(t, "idle")
	for _, tc := range []struct {
		pid      int
		min, max int64
	}{{one, 64 << 20, 192 << 20}, {two, 100 << 10, 64 << 20}} {
		charged, err := ChargedBytes(tc.pid)
		if err != nil {
			t.Fatal(err)
		}
		pss, err := PSSBytes(tc.pid)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Read(tc.pid)
		if err != nil {
			t.Fatal(err)
		}
		if charged < tc.min || charged > tc.max {
			t.Errorf("charged %d, want %d to %d", charged, tc.min, tc.max)
		}
		if pss < charged-1<<20 || pss > p.RSSBytes+1<<20 {
			t.Errorf("PSS %d is not between charged %d and resident %d", pss, charged, p.RSSBytes)
		}
	}
}

func TestGroupAndSession(t *testing.T) {
	cmd := exec.Command("sleep", "300")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = []string{"ONE=1", "TWO=x=y"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	pid := cmd.Process.Pid
	p, err := Read(pid)
	if err != nil || p.PGID != pid || p.Session != pid || p.PPID != os.Getpid() {
		t.Errorf("got %+v, %v", p, err)
	}
	v, ok := Environ(pid, "TWO")
	for begin := time.Now(); !ok && time.Since(begin) < 10*time.Second; v, ok = Environ(pid, "TWO") {
		runtime.Gosched() // in the middle of exec, a process has no environment
	}
	if v != "x=y" {
		t.Errorf("environment: %q %v", v, ok)
	}
	if _, ok := Environ(pid, "THREE"); ok {
		t.Error("a variable that is not there")
	}
	if id := BootID(); len(id) != 36 || id != BootID() {
		t.Errorf("boot id %q", id)
	}
}

const goodStat = "42 (a) Z 1 (b) S 7 42 41 0 -1 4194560 100 0 0 0 150 50 20 30 20 0 12 0 12345 1000000 250 18446744073709551615 1 1"

func TestParseStat(t *testing.T) {
	p, err := parseStat(42, []byte(goodStat))
	want := Process{
		ID: ID{42, 12345}, PPID: 7, PGID: 42, Session: 41, State: 'S', CPU: 2500 * time.Millisecond, RSSBytes: 250 * int64(os.Getpagesize()), Threads: 12,
	}
	if err != nil || p != want {
		t.Errorf("got %+v, %v; want %+v", p, err, want)
	}
	for _, bad := range []string{"", "42", "42 (", "42 (x)", "42 (x) ", "42 (x) S", "42 (x) S 1 2 3", strings.Replace(goodStat, " 7 ", " seven ", 1)} {
		if p, err := parseStat(42, []byte(bad)); err == nil {
			t.Errorf("%q: got %+v", bad, p)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(goodStat))
	f.Add([]byte("1 (x) R -1 -1 -1 -1 -1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseStat(1, b); err == nil && p.PID != 1 {
			t.Errorf("got %+v", p)
		}
	})
}

func FuzzParseStatm(f *testing.F) {
	f.Add([]byte("2000 500 100 10 0 300 0\n"))
	f.Add([]byte("0 0 0 0 0 0 0\n"))
	f.Add([]byte("1 2"))
	f.Add([]byte("1 2x 3"))
	f.Add([]byte("- - -"))
	f.Fuzz(func(t *testing.T, b []byte) {
		own, others, err := parseStatm(1, b)
		if fields := strings.Fields(string(b)); err == nil && len(fields) < 3 {
			t.Errorf("%q: got %d and %d", b, own, others)
		}
		if page := int64(os.Getpagesize()); string(b) == "2000 500 100 10 0 300 0\n" && (own != 400*page || others != 100*page) {
			t.Errorf("got %d and %d", own, others)
		}
	})
}

// trees starts processes that sleep, each the root of a tree.
func trees(b *testing.B, n int) []*Meter {
	b.Helper()
	meters := make([]*Meter, 0, n)
	for range n {
		cmd := exec.Command("sleep", "300")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		p, err := Read(cmd.Process.Pid)
		if err != nil {
			b.Fatal(err)
		}
		m := NewMeter(p.ID)
		b.Cleanup(m.Close)
		meters = append(meters, m)
	}
	return meters
}

// cpuPerOp reports the CPU time of fn, after a first call that does not count.
func cpuPerOp(b *testing.B, fn func()) {
	b.Helper()
	fn()
	cpu := func() time.Duration {
		var ru syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
			b.Fatal(err)
		}
		return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	}
	b.ReportAllocs()
	begin := cpu()
	for b.Loop() {
		fn()
	}
	b.ReportMetric(float64((cpu()-begin).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkRound is one round of measurements of 500 trees: its CPU time is promised to be 25 ms at most.
func BenchmarkRound(b *testing.B) {
	meters, census := trees(b, 500), NewCensus()
	cpuPerOp(b, func() { // the first time it reads PSS of all
		t, err := census.Look()
		if err != nil {
			b.Fatal(err)
		}
		now := time.Now()
		for _, m := range meters {
			m.Sample(t, now)
		}
	})
}

// BenchmarkWatch is what the watchdog does ten times a second while 500 tasks with limits are far from them.
func BenchmarkWatch(b *testing.B) {
	meters, census := trees(b, 500), NewCensus()
	cpuPerOp(b, func() {
		t, err := census.Glance()
		if err != nil {
			b.Fatal(err)
		}
		swapped := SwappedBytes()
		for _, m := range meters {
			m.Refresh(t)
			m.Estimate(swapped)
		}
	})
}
