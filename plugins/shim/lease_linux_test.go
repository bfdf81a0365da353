package shim

import (
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// When the lease is over, what others may run dies of it, and nothing else.
func TestALeaseThatIsOver(t *testing.T) {
	var silences, whole atomic.Int64
	s, err := Start(Config{Env: os.Environ(), OnSilence: func(leaseOnly bool) {
		silences.Add(1)
		if !leaseOnly {
			whole.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.HoldLease(bootTime() + int64(time.Hour))
	stop := begin(t, s, shell(deaf, Mark{TaskID: "stop"}))
	keep := begin(t, s, shell(deaf, Mark{TaskID: "keep", Keep: true}))
	marked := begin(t, s, shell(deaf, Mark{TaskID: "marked"}))
	marked.Mark(Mark{TaskID: "marked", Keep: true})
	if x := ended(t, begin(t, s, shell("exit 7", Mark{}))); x.Why != "" || x.Status.ExitStatus() != 7 {
		t.Errorf("while it holds: %+v", x)
	}
	s.HoldLease(bootTime() - 1)
	if x := ended(t, stop); x.Why != WhyLease || x.Status.Signal() != syscall.SIGKILL {
		t.Errorf("got %+v", x)
	}
	if silences.Load() != 1 || whole.Load() != 0 {
		t.Errorf("heard %d, %d of them of everything", silences.Load(), whole.Load())
	}
	if x := ended(t, begin(t, s, shell(deaf, Mark{}))); x.Why != WhyLease {
		t.Errorf("one that is started too late: %+v", x)
	}
	if !lives(keep.Ident()) || !lives(marked.Ident()) {
		t.Error("what was to be kept is dead")
	}
	s.HoldLease(0)
	until(t, "one lives again", func() bool {
		c := begin(t, s, shell("exit 7", Mark{}))
		return ended(t, c).Why == ""
	})
	keep.Kill()
	if x := ended(t, keep); x.Why != "" {
		t.Errorf("killed by its host: %+v", x)
	}
}

// A host that was stopped finds out first of all that everything was killed meanwhile, and why.
func TestASilentHostIsTold(t *testing.T) {
	var heard atomic.Int64
	var early atomic.Bool
	var started atomic.Pointer[Child]
	s, err := Start(Config{Env: os.Environ(), OnSilence: func(leaseOnly bool) {
		heard.Add(1)
		select {
		case <-started.Load().Exited():
			early.Store(true)
		default:
		}
		if leaseOnly {
			t.Error("it was not the lease")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := begin(t, s, shell(deaf, Mark{TaskID: "a", Keep: true}))
	started.Store(c)
	s.using.Lock() // whatever it says stays here: it stands still, as far as anybody can tell
	<-s.Done()
	s.using.Unlock()
	if x := ended(t, c); x.Why != WhySilence || lives(c.Ident()) {
		t.Errorf("got %+v", x)
	}
	if heard.Load() != 1 || early.Load() || !s.Silent() {
		t.Errorf("heard %d times, too late %v, silent %v", heard.Load(), early.Load(), s.Silent())
	}
}
