package procstats

import (
	"os"
	"slices"
	"testing"
)

func (c *Census) at(t *testing.T, pid int) *Process {
	t.Helper()
	i := slices.IndexFunc(c.list, func(p Process) bool { return p.PID == pid })
	if i < 0 {
		t.Fatalf("process %d is not listed", pid)
	}
	return &c.list[i]
}

func TestCensusNoticesThatAPIDIsAnothersNow(t *testing.T) {
	pid := start(t, "idle")
	c := NewCensus()
	if _, err := c.Look(); err != nil {
		t.Fatal(err)
	}
	now := *c.at(t, pid)
	*c.at(t, pid) = Process{ID: ID{pid, now.Start - 1}, PPID: 1} // as if it had been another's until the second look
	for range rereadEvery {
		if _, err := c.Look(); err != nil {
			t.Fatal(err)
		}
	}
	tb, err := c.Look()
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := tb.Find(now.ID); !ok || p.PPID != os.Getpid() {
		t.Errorf("got %+v, %v", p, ok)
	}
}

// A process whose parent has died is somebody else's child, also when the parent's pid is in use again.
func TestCensusTakesNobodyForAParentWhoIsYoungerThanTheChild(t *testing.T) {
	child, younger := start(t, "idle"), start(t, "idle")
	for _, parent := range []int{younger, 1 << 30} {
		c := NewCensus()
		if _, err := c.Look(); err != nil {
			t.Fatal(err)
		}
		c.at(t, child).PPID = parent
		c.at(t, younger).Start++
		c.list = slices.DeleteFunc(c.list, func(p Process) bool { return p.PID == os.Getppid() }) // so that something has changed
		tb, err := c.Look()
		if err != nil {
			t.Fatal(err)
		}
		if p, _ := tb.ByPID(child); p.PPID != os.Getpid() {
			t.Errorf("its parent is %d, not %d", p.PPID, os.Getpid())
		}
		if slices.Contains(tb.Children(parent), child) {
			t.Errorf("it is a child of %d", parent)
		}
	}
}

func TestAGlanceReadsNothingWhileNothingIsStarted(t *testing.T) {
	c := NewCensus()
	if !c.trusted {
		t.Skip("/proc/loadavg is not the kernel's")
	}
	first, err := c.Look()
	if err != nil {
		t.Fatal(err)
	}
	for c.lastPID != c.newestPID() { // somebody else starts processes
		if first, err = c.Look(); err != nil {
			t.Fatal(err)
		}
	}
	list, last := c.list, c.lastPID
	c.list = nil // a listing would fill it
	again, err := c.Glance()
	if err != nil {
		t.Fatal(err)
	}
	if c.lastPID == last && (len(c.list) > 0 || again != first) {
		t.Error("it has listed everything")
	}
	c.list = list
	pid := start(t, "idle")
	after, err := c.Glance()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := after.ByPID(pid); !ok {
		t.Error("what was started is missing")
	}
}

func FuzzParseDirents(f *testing.F) {
	entry := func(name string, size int) []byte {
		b := make([]byte, size)
		b[direntLength] = byte(size)
		copy(b[direntName:], name)
		return b
	}
	good := slices.Concat(entry("1", 24), entry("self", 24), entry("4194303", 32), entry("12x", 24), entry(".", 24))
	f.Add(good)
	f.Add([]byte{})
	f.Add(entry("123456", 25)) // without its end
	f.Add(entry("99999999999", 32))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := parseDirents(nil, b)
		if len(got) > len(b)/(direntName+1) {
			t.Errorf("%d numbers in %d bytes", len(got), len(b))
		}
		for _, n := range got {
			if n < 0 {
				t.Errorf("got %d", n)
			}
		}
		if slices.Equal(b, good) && !slices.Equal(got, []int{1, 4194303}) {
			t.Errorf("got %v", got)
		}
	})
}
