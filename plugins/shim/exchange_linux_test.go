package shim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The shim is exchanged again and again while processes start and end: none is lost, and each ends as it was told to.
func TestExchangeUnderLoad(t *testing.T) {
	s := started(t)
	before := descriptors(t, s.PID())
	stays := begin(t, s, shell(deaf, Mark{TaskID: "stays"}))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	counts := map[string]int{}
	for n := range 4 {
		r := rand.New(rand.NewPCG(uint64(n), 1))
		wg.Go(func() {
			null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = null.Close() }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, byHost := 1+r.IntN(100), r.IntN(3) == 0
				script := fmt.Sprintf("sleep 0.0%d; exit %d", r.IntN(10), code)
				if byHost {
					script = deaf
				}
				c, err := s.Start(shell(script, Mark{TaskID: fmt.Sprint(n)}), null, null, 10*time.Second)
				if err != nil {
					t.Errorf("start: %v", err)
					return
				}
				if byHost {
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond) // the moment is the point
					c.Kill()
				}
				select {
				case <-c.Cleared():
				case <-time.After(20 * time.Second):
					t.Errorf("%d (%s) does not end", c.Ident().PID, script)
					return
				}
				x := c.Exit()
				if ok := !byHost && x.Status.Exited() && x.Status.ExitStatus() == code || byHost && x.Status.Signal() == syscall.SIGKILL; !ok || x.Lost || x.Why != "" {
					t.Errorf("%q ended by %+v", script, x)
				}
				mu.Lock()
				counts[fmt.Sprint(byHost)]++
				mu.Unlock()
			}
		})
	}
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return counts["true"] >= 40 && counts["false"] >= 40
	}
	for i := 0; i < 50 || !enough() && i < 5000; i++ {
		if err := s.Exchange(""); err != nil {
			t.Errorf("exchange %d: %v", i, err)
			break
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("ends by themselves and by their host: %v", counts)
	if !lives(stays.Ident()) {
		t.Error("what was there before is dead")
	}
	if err := s.Exchange("/nowhere"); err == nil {
		t.Error("a file that is not there was run")
	}
	stays.Signal(syscall.SIGKILL, false)
	if x := ended(t, stays); x.Status.Signal() != syscall.SIGKILL {
		t.Errorf("got %+v", x)
	}
	<-stays.Cleared()
	if after := descriptors(t, s.PID()); after > before {
		t.Errorf("the shim has %d descriptors, and had %d", after, before)
	}
	until(t, "it has no children left", func() bool { return len(childrenOf(s.PID())) == 0 })
}

// What a shim knows of the past, it knows after an exchange.
func TestWhatIsKnownAfterAnExchange(t *testing.T) {
	s := started(t)
	file := t.TempDir() + "/farewell"
	if err := s.SetFarewell([]byte(fmt.Sprintf("%q", file))); err != nil {
		t.Fatal(err)
	}
	ended(t, begin(t, s, shell("exit 7", Mark{TaskID: "past", Epoch: 3})))
	begin(t, s, shell(deaf, Mark{TaskID: "alive", Epoch: 4}))
	if err := s.Exchange(""); err != nil {
		t.Fatal(err)
	}
	s.using.RLock()
	_ = unix.Shutdown(s.sock.fd, unix.SHUT_RDWR) // as if we had died
	s.using.RUnlock()
	<-s.Done()
	all := farewells(t, file)
	if len(all) == 0 || tasks(all[len(all)-1].Dead) != "alive past" {
		t.Errorf("said: %+v", all)
	}
}

// A host that reads nothing holds up nobody: whatever it was to be told waits.
func TestAHostThatDoesNotRead(t *testing.T) {
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.close()
	defer theirs.close()
	s := &server{host: theirs}
	const n = 20_000
	for i := range n {
		s.reply(reply{Kind: kindExited, ID: uint64(i + 1), Error: "some text of some length"})
	}
	if len(s.queue) == 0 {
		t.Fatal("all of it fits into the socket")
	}
	buf := make([]byte, maxPacket)
	for i := range n {
		var r reply
		if _, err := ours.receive(buf, &r); err != nil || r.ID != uint64(i+1) {
			t.Fatalf("message %d: %+v, %v", i, r, err)
		}
		s.flush()
	}
	if len(s.queue) > 0 {
		t.Errorf("%d wait", len(s.queue))
	}
}
