package shim

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// anonymous is the memory of a process that is its own.
func anonymous(t testing.TB, pid int) (kib int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Fatal("the kernel tells no anonymous memory")
	return 0
}

// A shim holds no more after thousands of lives than after hundreds. SKALDS_NIGHTLY=1 has 20,000.
func TestKilledChildrenLeaveNothing(t *testing.T) {
	n := 1500
	if os.Getenv("SKALDS_NIGHTLY") != "" {
		n = 20_000
	}
	s := started(t)
	null := devNull(t)
	live := func(count int) {
		for i := range count {
			c, err := s.Start(shell("kill -9 $$", Mark{TaskID: fmt.Sprintf("task-%d", i%100), Epoch: int64(i)}), null, null, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			<-c.Cleared()
		}
	}
	live(n / 3)
	before, fds := anonymous(t, s.PID()), descriptors(t, s.PID())
	live(n)
	after := anonymous(t, s.PID())
	t.Logf("after %d lives %d KiB, after %d more %d KiB", n/3, before, n, after)
	if after > before+3<<10 { // garbage comes and goes
		t.Errorf("it has grown from %d to %d KiB", before, after)
	}
	if now := descriptors(t, s.PID()); now > fds {
		t.Errorf("it has %d descriptors, and had %d", now, fds)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.children)+len(s.waiting) > 0 {
		t.Errorf("its host remembers %d and waits for %d", len(s.children), len(s.waiting))
	}
}
