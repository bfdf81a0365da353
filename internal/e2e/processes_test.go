package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// goneWithin is how soon nothing may be left of a program that was killed.
const goneWithin = 2 * time.Second

func machineCores() float64 { return float64(runtime.NumCPU()) }

// processesWith finds processes by a part of their command line, arguments separated by blanks.
func processesWith(t testing.TB, part string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		if strings.Contains(strings.ReplaceAll(string(b), "\x00", " "), part) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func killPID(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}

// waitGone waits until no process of Skalds is left, and fails where that takes too long.
func waitGone(t testing.TB) {
	t.Helper()
	killed := time.Now()
	for {
		left := processesOf(built.dir) // hosts and workers alike; tests run one after the other
		if len(left) == 0 {
			break
		}
		if time.Since(killed) > 5*goneWithin {
			t.Fatalf("left behind: %v", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("nothing was left after %s", time.Since(killed).Round(time.Millisecond))
}
