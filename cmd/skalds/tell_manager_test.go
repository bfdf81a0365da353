package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/servicemanager"
	"github.com/skalds-go/skalds/internal/testlog"
)

// watched is a service manager that listens, and a program whose standing the test sets.
type watched struct {
	t       *testing.T
	conn    *net.UnixConn
	stop    context.CancelCauseFunc
	done    chan error
	now     atomic.Pointer[standing]
	hanging atomic.Bool
}

func watch(t *testing.T, watchdog string) *watched {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": watchdog}
	n, err := servicemanager.Take(func(k string) string { return env[k] }, func(string) error { return nil }, 1)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, conn: conn, done: make(chan error, 1)}
	w.now.Store(&standing{text: "starting"})
	ctx, stop := context.WithCancelCause(withManager(t.Context(), n))
	w.stop = stop
	look := func(ctx context.Context) standing {
		if w.hanging.Load() {
			select {} // as behind a lock that nobody gives back; it stays until the test binary ends
		}
		return *w.now.Load()
	}
	service := tellManager(ctx, look, testlog.New(t))
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() { w.done <- service(own) }()
	t.Cleanup(func() {
		stop(nil)
		cancel()
		<-w.done
		_ = conn.Close()
	})
	return w
}

// until reads messages until one begins with a text, and returns it.
func (w *watched) until(begin string) string {
	w.t.Helper()
	if err := w.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := w.conn.Read(b)
		if err != nil {
			w.t.Fatalf("never said: %s: %v", begin, err)
		}
		if strings.HasPrefix(string(b[:n]), begin) {
			return string(b[:n])
		}
	}
}

// quiet fails where anything is said that begins with a text.
func (w *watched) quiet(begin string, within time.Duration) {
	w.t.Helper()
	end := time.Now().Add(within)
	b := make([]byte, 4096)
	for {
		if err := w.conn.SetReadDeadline(end); err != nil {
			w.t.Fatal(err)
		}
		n, err := w.conn.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasPrefix(string(b[:n]), begin) {
			w.t.Fatalf("said %q", b[:n])
		}
	}
}

func TestTheManagerHearsHowItIs(t *testing.T) {
	w := watch(t, "200000")
	w.until("STATUS=starting")
	w.now.Store(&standing{up: true, text: "serves"})
	if got := w.until("READY=1"); got != "READY=1\nSTATUS=serves" {
		t.Errorf("said %q", got)
	}
	w.until("WATCHDOG=1")
	w.until("WATCHDOG=1")
	w.now.Store(&standing{up: true, text: "serves", stuck: "the dispatcher"})
	w.until("STATUS=stuck: the dispatcher")
	w.quiet("WATCHDOG=1", 500*time.Millisecond)
	w.now.Store(&standing{up: true, text: "serves again"})
	w.until("STATUS=serves again")
	w.until("WATCHDOG=1")
	w.now.Store(&standing{text: "not up any more"})
	w.until("STATUS=not up any more")
	w.now.Store(&standing{up: true, text: "up again"})
	w.until("STATUS=up again") // and not READY a second time
	w.stop(errors.New("terminated"))
	if got := w.until("STOPPING=1"); got != "STOPPING=1\nSTATUS=stopping: terminated" {
		t.Errorf("said %q", got)
	}
}

func TestALookThatHangsIsNoLife(t *testing.T) {
	w := watch(t, "200000")
	w.now.Store(&standing{up: true, text: "serves"})
	w.until("WATCHDOG=1")
	w.hanging.Store(true)
	w.quiet("nothing", 200*time.Millisecond) // what was under way has been said
	w.quiet("WATCHDOG=1", 500*time.Millisecond)
	w.stop(errors.New("terminated"))
	w.until("STOPPING=1")
}
