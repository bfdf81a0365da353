package shim

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is no message is passed over; nobody dies of it.
func TestGarbledPackets(t *testing.T) {
	s := started(t)
	c := begin(t, s, shell("sleep 300", Mark{}))
	for _, b := range []string{"x", "{", "[]", "null", `{"kind":7}`, `{"kind":"start"}`, `{"kind":"nobody knows it","more":1}`, `{"kind":"mark","id":1,"mark":{"keep":"yes"}}`, strings.Repeat("long ", 30_000), "\x00\xff"} {
		raw(t, s, []byte(b))
	}
	if x := ended(t, begin(t, s, shell("exit 7", Mark{}))); x.Status.ExitStatus() != 7 {
		t.Errorf("started after them: %+v", x)
	}
	if !lives(c.Ident()) {
		t.Error("started before them, and dead")
	}
	c.Kill()
	ended(t, c)
}

// A start that is too long for a packet fails, and only it.
func TestATooLongMessage(t *testing.T) {
	s := started(t)
	null := devNull(t)
	spec := shell("exit 7", Mark{})
	spec.Env = []string{"LONG=" + strings.Repeat("x", maxPacket)}
	if _, err := s.Start(spec, null, null, 10*time.Second); !errors.Is(err, unix.E2BIG) {
		t.Errorf("got %v", err)
	}
	spec.Env = []string{"LONG=" + strings.Repeat("x", maxPacket-4096)}
	if x := ended(t, begin(t, s, spec)); x.Status.ExitStatus() != 7 {
		t.Errorf("one that just fits: %+v", x)
	}
	spec.Env, spec.Path = nil, "/"+strings.Repeat("\x01", 20_000) // six bytes each as JSON, in request and answer
	var at *StartError
	if _, err := s.Start(spec, null, null, 10*time.Second); !errors.As(err, &at) || at.Stage != StageFork {
		t.Errorf("got %v", err)
	}
	if x := ended(t, begin(t, s, shell("exit 7", Mark{}))); x.Status.ExitStatus() != 7 {
		t.Errorf("the next one: %+v", x)
	}
}

// Whoever speaks with a shim that has ended gets an error, whatever has become of the descriptor meanwhile.
func TestWordsToAShimThatHasGone(t *testing.T) {
	s := started(t)
	c := begin(t, s, shell("sleep 300", Mark{}))
	fd := s.sock.fd
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-c.Cleared()
	until(t, "the socket is closed", func() bool { _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); return err != nil })
	a, b, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	defer b.close()
	if a.fd != fd && b.fd != fd {
		t.Skip("another one has got the number")
	}
	c.Kill()
	c.Mark(Mark{Keep: true})
	s.HoldLease(1)
	s.HoldLease(2)
	if err := s.SetFarewell(nil); !errors.Is(err, ErrGone) {
		t.Errorf("farewell: %v", err)
	}
	if err := s.Exchange(""); !errors.Is(err, ErrGone) {
		t.Errorf("exchange: %v", err)
	}
	if _, err := s.Start(shell("exit 7", Mark{}), os.Stdin, os.Stdin, 10*time.Second); !errors.Is(err, ErrGone) {
		t.Errorf("start: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for _, end := range []socket{a, b} {
		fds := []unix.PollFd{{Fd: int32(end.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 0); n != 0 || err != nil {
			t.Errorf("somebody else's descriptor was used: %v %v", fds, err)
		}
	}
}
