package e2e

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/embedded"
)

// serviceManager listens as systemd does, and knows who speaks.
type serviceManager struct {
	t    *testing.T
	mu   sync.Mutex
	said []notice
}

type notice struct {
	pid  int
	text string
	at   time.Time
}

// manage makes the programs that are started from now on have a service manager.
func manage(t *testing.T, watchdog string) *serviceManager {
	t.Helper()
	dir, err := os.MkdirTemp(built.tmp, "sm-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	m := &serviceManager{t: t}
	ended := make(chan struct{})
	go func() { m.listen(conn); close(ended) }()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
		if t.Failed() {
			t.Logf("the service manager heard\n%+v", m.all())
		}
	})
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", watchdog)
	return m
}

func (m *serviceManager) listen(conn *net.UnixConn) {
	b, control := make([]byte, 4096), make([]byte, 256)
	for {
		n, c, _, _, err := conn.ReadMsgUnix(b, control)
		if err != nil {
			return
		}
		heard := notice{text: string(b[:n]), at: time.Now()}
		msgs, err := syscall.ParseSocketControlMessage(control[:c])
		if err == nil && len(msgs) == 1 {
			if cred, err := syscall.ParseUnixCredentials(&msgs[0]); err == nil {
				heard.pid = int(cred.Pid)
			}
		}
		m.mu.Lock()
		m.said = append(m.said, heard)
		m.mu.Unlock()
	}
}

func (m *serviceManager) all() []notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]notice(nil), m.said...)
}

// find lists what a process said that begins with a text.
func (m *serviceManager) find(pid int, begin string) (found []notice) {
	for _, n := range m.all() {
		if n.pid == pid && strings.HasPrefix(n.text, begin) {
			found = append(found, n)
		}
	}
	return found
}

// only fails where anybody but these processes has spoken.
func (m *serviceManager) only(pids ...int) {
	m.t.Helper()
	allowed := map[int]bool{}
	for _, p := range pids {
		allowed[p] = true
	}
	for _, n := range m.all() {
		if !allowed[n.pid] {
			m.t.Errorf("process %d spoke to the service manager: %q", n.pid, n.text)
		}
	}
}

// A standalone is ready when REST answers, says so once, feeds the watchdog and says that it stops. Its hosts, its shims and
// workers say nothing.
func TestAStandaloneTellsItsServiceManager(t *testing.T) {
	m := manage(t, "1000000")
	dir := t.TempDir()
	p := start(t, dir, "standalone", "--data-dir", dir, "--listen", "127.0.0.1:0", "--nodes", "2")
	pid := p.cmd.Process.Pid
	p.wait("it is ready", func() bool { return len(m.find(pid, "READY=1")) > 0 })
	j, err := embedded.ReadJoin(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.New(j.Server, j.Token).Live(t.Context()); err != nil {
		t.Errorf("it says that it is ready, and REST does not answer: %v", err)
	}
	p.connect()
	p.until("both nodes offer the workers", func(ctx context.Context) bool {
		nodes, err := p.Nodes(ctx, "", "online")
		if err != nil || len(nodes.Items) != 2 {
			return false
		}
		workers, err := p.Workers(ctx)
		return err == nil && len(workers.Items) == 2
	})
	p.create(task("a", "wait"))
	p.runs("a")
	fed := len(m.find(pid, "WATCHDOG=1"))
	p.wait("the watchdog is fed", func() bool { return len(m.find(pid, "WATCHDOG=1")) >= fed+4 })
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := len(m.find(pid, "STOPPING=1")); n != 1 {
		t.Errorf("it said %d times that it stops", n)
	}
	if n := len(m.find(pid, "READY=1")); n != 1 {
		t.Errorf("it said %d times that it is ready", n)
	}
	if s := m.find(pid, "STATUS=")[0]; !strings.Contains(m.find(pid, "READY=1")[0].text, "STATUS=serves 127.0.0.1:") {
		t.Errorf("its status: %q", s.text)
	}
	m.only(pid)
}

// A watchdog that stands for a frozen program hears nothing.
func TestAFrozenStandaloneFeedsNoWatchdog(t *testing.T) {
	m := manage(t, "400000")
	dir := t.TempDir()
	p := standalone(t, dir)
	pid := p.cmd.Process.Pid
	p.wait("the watchdog is fed", func() bool { return len(m.find(pid, "WATCHDOG=1")) > 3 })
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	frozen := time.Now()
	p.wait("three times its watchdog has gone by", func() bool { return time.Since(frozen) > 1200*time.Millisecond })
	for _, n := range m.find(pid, "WATCHDOG=1") {
		if n.at.Sub(frozen) > 300*time.Millisecond { // one may have been under way
			t.Errorf("fed %s after it was frozen", n.at.Sub(frozen))
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	fed := len(m.find(pid, "WATCHDOG=1"))
	p.wait("the watchdog is fed again", func() bool { return len(m.find(pid, "WATCHDOG=1")) > fed })

	// How systemd ends it: it must not look like wrong settings, after which it is not started again.
	if err := p.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGABRT {
		t.Errorf("it ended with %s", p.cmd.ProcessState)
	}
	if !strings.Contains(p.log.String(), "SIGABRT: abort") {
		t.Error("it left no trace")
	}
	waitGone(t)
}

// A host alone is ready when it can run tasks; one of a cluster when its hello is on the bus, however long that takes.
func TestAHostTellsItsServiceManager(t *testing.T) {
	workers := filepath.Join(t.TempDir(), "workers.yml")
	writeFile(t, workers, "TaskWorkers:\n  a:\n    className: Script\n    attachments: {do: wait}\n", 0o644)
	t.Run("alone", func(t *testing.T) {
		m := manage(t, "")
		dir := t.TempDir()
		h := start(t, dir, "host", "--mode", "edge", "--workers", workers, "--data-dir", dir)
		pid := h.cmd.Process.Pid
		h.wait("it is ready", func() bool { return len(m.find(pid, "READY=1")) == 1 })
		if s := m.find(pid, "READY=1")[0].text; !strings.Contains(s, "works alone") {
			t.Errorf("its status: %q", s)
		}
		if n := len(m.find(pid, "WATCHDOG=1")); n != 0 {
			t.Errorf("fed a watchdog that is not there, %d times", n)
		}
		h.wait("it tells of its task", func() bool { return len(m.find(pid, "STATUS=")) > 0 && strings.Contains(h.log.String(), "running") })
		h.stop()
		if n := len(m.find(pid, "STOPPING=1")); n != 1 {
			t.Errorf("it said %d times that it stops", n)
		}
		m.only(pid)
	})
	t.Run("of a cluster", func(t *testing.T) {
		dir := t.TempDir()
		p := standalone(t, dir)
		if code := p.stop(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		m := manage(t, "1000000")
		second := filepath.Join(dir, "second")
		h := start(t, second, "host", "--mode", "node", "--join", filepath.Join(dir, "join.json"), "--data-dir", second)
		pid := h.cmd.Process.Pid
		h.wait("it waits for the bus", func() bool {
			return len(m.find(pid, "STATUS=")) > 0 && strings.Contains(m.find(pid, "STATUS=")[len(m.find(pid, "STATUS="))-1].text, "waits for the bus")
		})
		if n := len(m.find(pid, "READY=1")); n != 0 {
			t.Errorf("ready without a bus, %d times", n)
		}
		fed := len(m.find(pid, "WATCHDOG=1"))
		h.wait("the watchdog is fed although the bus is away", func() bool { return len(m.find(pid, "WATCHDOG=1")) > fed+4 })
		t.Setenv("NOTIFY_SOCKET", "")
		standalone(t, dir)
		h.wait("it is ready", func() bool { return len(m.find(pid, "READY=1")) == 1 })
		m.only(pid)
	})
	t.Run("for one task", func(t *testing.T) {
		m := manage(t, "1000000")
		dir := t.TempDir()
		h := start(t, dir, "host", "--mode", "single_process", "--workers", workers, "--data-dir", dir)
		pid := h.cmd.Process.Pid
		h.wait("it is ready", func() bool { return len(m.find(pid, "READY=1")) == 1 })
		h.wait("the watchdog is fed", func() bool { return len(m.find(pid, "WATCHDOG=1")) > 4 })
		h.stop()
		m.only(pid)
	})
}

// What the service manager says wrongly is told, and the program runs.
func TestAServiceManagerThatCannotBeUnderstood(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "vsock:2:1234")
	dir := t.TempDir()
	p := standalone(t, dir)
	if !strings.Contains(p.log.String(), `NOTIFY_SOCKET="vsock:2:1234"`) {
		t.Errorf("it does not say what is wrong:\n%s", p.log.String())
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
