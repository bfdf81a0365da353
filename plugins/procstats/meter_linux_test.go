package procstats

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestSharedMemoryCountsBeforePSSHasItsTurn(t *testing.T) {
	p, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(p.ID)
	for !turn(p.PID, m.round, pssEvery) { // it is the turn of PSS now, and not again before long
		m.round++
	}
	sample := func() int64 {
		t.Helper()
		now, err := Read(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return m.Sample(NewTable([]Process{now}), time.Now()).MemoryBytes
	}
	before := sample()
	const size = 32 << 20
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < size; i += os.Getpagesize() {
		b[i] = 1
	}
	during := sample()
	if err := syscall.Munmap(b); err != nil {
		t.Fatal(err)
	}
	after := sample()
	const about = size / 2
	if during-before < size-about || during-after < size-about {
		t.Errorf("with %d bytes shared: before %d, during %d, after %d", size, before, during, after)
	}
}

func TestResidentBytes(t *testing.T) {
	pid := start(t, "memory 67108864")
	own, others, err := residentBytes(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	if own < 64<<20 || own > 192<<20 || others <= 0 || max(own+others-p.RSSBytes, p.RSSBytes-own-others) > 4<<20 {
		t.Errorf("own %d, others %d, resident %d", own, others, p.RSSBytes)
	}
	if _, _, err := residentBytes(1 << 30); err == nil {
		t.Error("memory of nobody")
	}
}

// The cheap figure follows what is allocated, of either kind.
func TestEstimateFollows(t *testing.T) {
	p, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(p.ID)
	defer m.Close()
	near := func(what string, atLeast int64) int64 {
		t.Helper()
		estimate, exact := m.Estimate(0), m.Charged()
		if d := max(estimate-exact, exact-estimate); d > 4<<20 || exact < atLeast {
			t.Errorf("%s: estimated %d, charged %d, at least %d", what, estimate, exact, atLeast)
		}
		return exact
	}
	before := near("before", 1<<20)
	const size = 32 << 20
	for what, flags := range map[string]int{"own memory": syscall.MAP_PRIVATE, "shared memory": syscall.MAP_SHARED} {
		b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|flags)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < size; i += os.Getpagesize() {
			b[i] = 1
		}
		near(what, before+size-8<<20)
		if err := syscall.Munmap(b); err != nil {
			t.Fatal(err)
		}
		near("after "+what, 1<<20)
	}
}

func TestThreadsOfWhatHasEndedDoNotCount(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	p, err := Read(start(t, "idle"))
	if err != nil {
		t.Fatal(err)
	}
	ended, err := Read(cmd.Process.Pid) // at the latest when it is waited for
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(p.ID)
	defer m.Close()
	m.members = append(m.members, ended.ID, ID{p.PID, p.Start - 1})
	for ended.State != 'Z' {
		if ended, err = Read(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := os.ReadDir(procPath(p.PID, "task")) // it waits for its standard input and starts none any more
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Threads(); n != len(listed) || n < 2 || len(m.Members()) != 1 || m.Members()[0] != p.ID {
		t.Errorf("%d threads, not %d, of %v", n, len(listed), m.Members())
	}
}

// What cannot be told from statm is read again once the machine has swapped more out.
func TestEstimateReadsTheRestAgainWhenTheMachineSwaps(t *testing.T) {
	p, err := Read(start(t, "idle"))
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(p.ID)
	defer m.Close()
	honest := m.Estimate(1 << 20)
	const wrong = 1 << 40
	m.known[p.ID].rest.bytes += wrong
	if got := m.Estimate(1 << 20); got < wrong {
		t.Errorf("read again without a reason: %d", got)
	}
	if got := m.Estimate(2 << 20); got > honest+1<<20 {
		t.Errorf("not read again: %d, before %d", got, honest)
	}
}
