package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestASingleProcessHonoursSIGTERMAsPID1 runs it as the first process of a PID namespace, as in a container: the kernel gives
// such a process no signal that it does not handle, and nobody else reaps what its workers leave.
func TestASingleProcessHonoursSIGTERMAsPID1(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a PID namespace")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare of util-linux")
	}
	namespace := []string{"--pid", "--fork", "--mount-proc", "--kill-child"}
	if out, err := exec.Command(unshare, append(namespace, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no PID namespace can be made here: %v: %s", err, out)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "workers.yml")
	writeFile(t, file, "TaskWorkers:\n  a:\n    className: Script\n    attachments: {do: wait}\n", 0o644)
	p := startCommand(t, dir, exec.Command(unshare, append(namespace, built.skalds, "host", "--mode", "single_process",
		"--workers", file, "--data-dir", filepath.Join(dir, "data"), "--plugins", built.plugins)...))
	p.wait("the task runs", func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "data", "recordings", "a", "notes"))
		return strings.Contains(string(b), "began")
	})
	first := childOf(t, p.cmd.Process.Pid)
	if inside := insidePID(t, first); inside != "1" {
		t.Fatalf("skalds is process %s of its namespace", inside)
	}
	if err := syscall.Kill(first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d", code)
	}
	if left := processesOf(built.dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// childOf is the only child of a process.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	p := strconv.Itoa(pid)
	b, err := os.ReadFile(filepath.Join("/proc", p, "task", p, "children"))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return child
}

// insidePID is what a process is called in the innermost of its PID namespaces.
func insidePID(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			ids := strings.Fields(rest)
			return ids[len(ids)-1]
		}
	}
	return ""
}
