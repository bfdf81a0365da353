package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds/plugins/procstats"
)

// The test binary is also the shim, whose farewell goes to the file that its host has named, and a host that is killed or
// stopped, see hostOfAShim.
func TestMain(m *testing.M) {
	if Asked() {
		os.Exit(Main(writeFarewell))
	}
	if file := os.Getenv("SHIM_HOST"); file != "" {
		os.Exit(hostOfAShim(file))
	}
	os.Exit(m.Run())
}

// told is one farewell.
type told struct {
	Dead   []Mark `json:"dead"`
	Silent bool   `json:"silent"`
}

func writeFarewell(data json.RawMessage, dead []Mark, silent bool) error {
	var file string
	if err := json.Unmarshal(data, &file); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	b, err := json.Marshal(told{dead, silent})
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// farewells reads what writeFarewell has written.
func farewells(t *testing.T, file string) (all []told) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var f told
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func started(t testing.TB) *Shim {
	t.Helper()
	s, err := Start(Config{Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// shell is a process that runs a script.
func shell(script string, m Mark) Spec {
	return Spec{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Mark: m}
}

func devNull(t testing.TB) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func begin(t testing.TB, s *Shim, spec Spec) *Child {
	t.Helper()
	null := devNull(t)
	c, err := s.Start(spec, null, null, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ended(t testing.TB, c *Child) Exit {
	t.Helper()
	select {
	case <-c.Exited():
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	return c.Exit()
}

func lives(id procstats.ID) bool {
	p, err := procstats.Read(id.PID)
	return err == nil && p.ID == id && p.State != 'Z'
}

func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// hostOfAShim starts what it is asked to, says so, and closes its shim at a SIGTERM.
func hostOfAShim(file string) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	say := func(err error) int { fmt.Fprintln(os.Stderr, "host:", err); return 1 }
	s, err := Start(Config{Env: slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "SHIM_HOST=") })})
	if err != nil {
		return say(err)
	}
	data, err := json.Marshal(file)
	if err != nil {
		return say(err)
	}
	if err := s.SetFarewell(data); err != nil {
		return say(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return say(err)
	}
	var specs []Spec
	if err := json.Unmarshal([]byte(os.Getenv("SHIM_SPECS")), &specs); err != nil {
		return say(err)
	}
	for _, spec := range specs {
		c, err := s.Start(spec, null, null, 10*time.Second)
		if err != nil {
			return say(err)
		}
		if spec.Mark.Epoch < 0 { // is to end by itself
			<-c.Exited()
		}
		fmt.Println(c.Ident().PID, c.Ident().Start)
	}
	fmt.Println(s.PID(), 0)
	<-stop
	if err := s.Close(); err != nil {
		return say(err)
	}
	return 0
}

// host is a process that has a shim.
type host struct {
	cmd   *exec.Cmd
	shim  int
	procs []procstats.ID
	file  string // of its farewells
}

func newHost(t *testing.T, specs ...Spec) *host {
	t.Helper()
	b, err := json.Marshal(specs)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{file: t.TempDir() + "/farewell"}
	h.cmd = exec.Command("/proc/self/exe")
	h.cmd.Env = append(os.Environ(), "SHIM_HOST="+h.file, "SHIM_SPECS="+string(b))
	h.cmd.Stderr = os.Stderr
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.cmd.Process.Kill(); _ = h.cmd.Wait() })
	for range specs {
		var id procstats.ID
		if _, err := fmt.Fscan(out, &id.PID, &id.Start); err != nil {
			t.Fatal(err)
		}
		h.procs = append(h.procs, id)
	}
	if _, err := fmt.Fscan(out, &h.shim, new(int)); err != nil {
		t.Fatal(err)
	}
	return h
}

// over waits until the shim has ended.
func (h *host) over(t *testing.T) {
	t.Helper()
	until(t, "the shim ends", func() bool {
		p, err := procstats.Read(h.shim)
		return err != nil || p.State == 'Z'
	})
}

// descriptors counts this process's.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// raw is a server's packet as a host may send it.
func raw(t testing.TB, s *Shim, b []byte) {
	t.Helper()
	if err := unix.Sendmsg(s.sock.fd, b, nil, nil, unix.MSG_NOSIGNAL); err != nil {
		t.Fatal(err)
	}
}
