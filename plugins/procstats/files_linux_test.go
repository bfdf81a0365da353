package procstats

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestKeptFilesTellTheSame(t *testing.T) {
	before := descriptors(t)
	pid := start(t, "memory 33554432")
	held := descriptors(t) // with its pipes
	want, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := openFiles(want.ID)
	if !ok {
		t.Fatal("cannot be opened")
	}
	if n := descriptors(t) - held; n != 2 {
		t.Errorf("%d descriptors", n)
	}
	for range 3 {
		if p, err := f.read(pid); err != nil || p.ID != want.ID || p.PPID != os.Getpid() {
			t.Errorf("got %+v, %v", p, err)
		}
		own, others, err := f.residentBytes(pid)
		if err != nil || own < 32<<20 || others <= 0 {
			t.Errorf("own %d, others %d, %v", own, others, err)
		}
	}
	stop(t, pid)
	if p, err := f.read(pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after its end: %+v, %v", p, err)
	}
	if _, _, err := f.residentBytes(pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("memory after its end: %v", err)
	}
	f.close()
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, before %d", n, before)
	}
}

func TestFilesOfAnotherProcessAreNotKept(t *testing.T) {
	pid := start(t, "idle")
	p, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	if _, ok := openFiles(ID{pid, p.Start - 1}); ok {
		t.Error("opened what has the pid now")
	}
	stop(t, pid)
	if _, ok := openFiles(p.ID); ok {
		t.Error("opened what has gone")
	}
	if n := descriptors(t); n > before {
		t.Errorf("%d descriptors, before %d", n, before)
	}
}

// A host with few descriptors needs them for other things.
func TestNoFilesAreKeptWhereDescriptorsAreRare(t *testing.T) {
	p, err := Read(start(t, "idle"))
	if err != nil {
		t.Fatal(err)
	}
	next, err := unix.Open("/proc", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(next) }()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(2*next + 1), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, kept := openFiles(p.ID)
	m := NewMeter(p.ID)
	u := m.Estimate(0)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if kept || m.open {
		t.Errorf("kept %v, by a meter %v", kept, m.open)
	}
	if u == 0 {
		t.Error("not measured")
	}
}

func TestAClosedMeterHoldsNothing(t *testing.T) {
	p, err := Read(start(t, "idle"))
	if err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	m := NewMeter(p.ID)
	if m.Estimate(0) == 0 || descriptors(t) != before+2 {
		t.Errorf("%d descriptors, before %d", descriptors(t), before)
	}
	m.Close()
	m.Close()
	if m.Estimate(0) == 0 || descriptors(t) != before {
		t.Errorf("closed: %d descriptors, before %d", descriptors(t), before)
	}
}
