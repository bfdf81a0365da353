package sdk

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestIsStopped(t *testing.T) {
	for stat, want := range map[string]bool{
		"12 (shim) T 1 12": true,
		"12 (shim) t 1 12": false, // traced
		"12 (shim) S 1 12": false,
		"12 (a) T) S 1 12": false, // a name of its choice
		"12 (a) S) T 1 12": true,
		"12 (shim)":        false,
		"":                 false,
	} {
		if got := isStopped([]byte(stat)); got != want {
			t.Errorf("%q: %v, want %v", stat, got, want)
		}
	}
}

func TestParentLooks(t *testing.T) {
	c := exec.Command("sleep", "600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	p, err := openParent(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(p.stat) })
	look := func(want bool) {
		t.Helper()
		if still, err := p.look(); err != nil || still != want {
			t.Errorf("seen still: %v, %v, want %v", still, err, want)
		}
	}
	signal := func(sig syscall.Signal, option int) { // returns when the signal has taken effect
		t.Helper()
		if err := c.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Wait4(c.Process.Pid, nil, option, nil); err != nil {
			t.Fatal(err)
		}
	}
	look(false)
	signal(syscall.SIGSTOP, syscall.WUNTRACED)
	look(false)
	signal(syscall.SIGCONT, syscall.WCONTINUED)
	look(false)
	signal(syscall.SIGSTOP, syscall.WUNTRACED)
	look(false) // looks in a row are counted anew
	look(true)
	if self := syscall.Getppid(); !p.supervises(self, 2) || !p.supervises(self, 1) || p.supervises(self, 1) {
		t.Error("a look that came late was counted, or those after it were not")
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	if _, err := p.look(); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("of a process that has gone: %v", err)
	}
}

// What one look costs an idle process; it makes one in every parentEvery.
func BenchmarkParentLook(b *testing.B) {
	p, err := openParent(unix.Getppid())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = unix.Close(p.stat) }()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.look(); err != nil {
			b.Fatal(err)
		}
	}
}
