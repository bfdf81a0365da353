package procstats

import (
	"os"
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
	m.round = pssEvery - p.PID%pssEvery // the turn of PSS is now, and not again before ten rounds
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
