//go:build linux

package scale

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/client"
)

// control is the controller that is measured.
type control struct {
	*client.Client
	pid int
}

func startControl(t testing.TB, s services) *control {
	t.Helper()
	dir := t.TempDir()
	addr := freeAddress(t)
	log, err := os.Create(filepath.Join(dir, "controller.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // the process has its own
	cmd := exec.Command(program, "controller", "--listen", addr, "--data-dir", filepath.Join(dir, "data"), "--log-level", "INFO")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	c := &control{client.New("http://"+addr, ""), cmd.Process.Pid}
	t.Cleanup(func() {
		_ = c.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err = <-exited:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			err = fmt.Errorf("it did not stop: %w", <-exited)
		}
		if err != nil || t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("the controller ended: %v\n%s", err, last(text, 4000))
		}
	})
	until(t, "the controller leads", func(ctx context.Context) bool { return c.Ready(ctx) == nil })
	return c
}

func last(text []byte, n int) []byte { return text[max(0, len(text)-n):] }

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was accepted
	return l.Addr().String()
}

// patience bounds what must happen in the end.
const patience = 3 * time.Minute

// until polls for what no event announces.
func until(t testing.TB, what string, ok func(ctx context.Context) bool) {
	t.Helper()
	end := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		done := ok(ctx)
		cancel()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// cpu is what the process has used so far, by the kernel's count of both times (proc_pid_stat(5)), to a hundredth of a second.
func (c *control) cpu(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatalf("read /proc/%d/stat: %q", c.pid, b)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is what the process has for itself now, and the most that it ever had in all (MiB).
func (c *control) memory(t testing.TB) (unique, most float64) {
	t.Helper()
	sum := func(file string, names ...string) (kb float64) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.pid, file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			name, rest, _ := strings.Cut(line, ":")
			for _, n := range names {
				if n == name {
					v, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
					kb += v
				}
			}
		}
		return kb / 1024
	}
	return sum("smaps_rollup", "Private_Clean", "Private_Dirty"), sum("status", "VmHWM")
}
