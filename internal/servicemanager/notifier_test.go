package servicemanager_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/servicemanager"
)

const pid = 42

// take reads an environment made of a map, and checks that nothing is left there for children.
func take(t *testing.T, env map[string]string) (*servicemanager.Notifier, error) {
	t.Helper()
	n, err := servicemanager.Take(func(k string) string { return env[k] }, func(k string) error { delete(env, k); return nil }, pid)
	if len(env) != 0 {
		t.Errorf("left for children: %v", env)
	}
	return n, err
}

// manager is a socket as a service manager has it.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func hear(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestWhatIsSaid(t *testing.T) {
	path := filepath.Join(shortDir(t), "notify")
	c := manager(t, path)
	n, err := take(t, map[string]string{"NOTIFY_SOCKET": path})
	if err != nil {
		t.Fatal(err)
	}
	for want, say := range map[string]func() error{
		"READY=1\nSTATUS=up":               func() error { return n.Ready("up") },
		"STATUS=bus away; READY=1 no more": func() error { return n.Status("bus away;\nREADY=1\tno more") },
		"STOPPING=1\nSTATUS=SIGTERM":       func() error { return n.Stopping("SIGTERM") },
		"WATCHDOG=1":                       n.Alive,
	} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
		if got := hear(t, c); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Alive(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("to a manager that has gone: %v", err)
	}
}

func TestWatchdog(t *testing.T) {
	for name, tt := range map[string]struct {
		usec, pid string
		want      time.Duration
		fails     bool
	}{
		"none":         {"", "", 0, false},
		"ours":         {"30000000", "42", 30 * time.Second, false},
		"anybody's":    {"500000", "", 500 * time.Millisecond, false},
		"another's":    {"500000", "43", 0, false},
		"no number":    {"soon", "42", 0, true},
		"negative":     {"-1", "42", 0, true},
		"zero":         {"0", "42", 0, true},
		"out of range": {"9223372036854775807", "42", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := take(t, map[string]string{"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid})
			if (err != nil) != tt.fails || n.Watchdog() != tt.want {
				t.Errorf("%v, %v", n.Watchdog(), err)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	n, err := take(t, map[string]string{"WATCHDOG_USEC": "1000"})
	if err != nil || n != nil {
		t.Fatalf("%v, %v", n, err)
	}
	if err := errors.Join(n.Ready(""), n.Status(""), n.Alive(), n.Stopping("")); err != nil || n.Watchdog() != 0 {
		t.Errorf("without a manager: %v, %v", err, n.Watchdog())
	}
	for _, addr := range []string{"vsock:2:1234", "run/notify", "/", "@"} {
		if n, err := take(t, map[string]string{"NOTIFY_SOCKET": addr}); err == nil || n != nil {
			t.Errorf("%q is taken for a socket", addr)
		}
	}
}
