package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// spoken is what a program has said so far.
type spoken struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// clusterScript prepares scripts/cluster.sh for a folder and an address of its own.
func clusterScript(t *testing.T, listen string, env ...string) (cmd *exec.Cmd, dir string, says *spoken) {
	t.Helper()
	dir, says = t.TempDir(), &spoken{}
	cmd = exec.Command("../../scripts/cluster.sh")
	cmd.Env = append(os.Environ(), "LISTEN="+listen, "CLUSTER_DIR="+dir, "BIN="+built.dir)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = says, says
	return cmd, dir, says
}

// freePair is an address whose port and the next one are free.
func freePair(t *testing.T) string {
	t.Helper()
	for range 50 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = first.Close()
		if err == nil {
			_ = second.Close()
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatal("no two free ports")
	return ""
}

// Where its parts cannot live, make cluster says which and why, and does not take another program for them.
func TestClusterScriptSaysWhatDied(t *testing.T) {
	services := []string{"KAFKA_HOST=127.0.0.1:1", "REDIS_HOST=127.0.0.1:1", "MONGO_HOST=nonsense"}
	t.Run("somebody else listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		cmd, dir, says := clusterScript(t, l.Addr().String(), services...)
		if err := cmd.Run(); err == nil || !strings.Contains(says.String(), "another program listens on "+l.Addr().String()) {
			t.Errorf("it ends with %v and says\n%s", err, says)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.pid")); len(left) > 0 {
			t.Errorf("it has started %q", left)
		}
	})
	t.Run("a part dies", func(t *testing.T) {
		cmd, dir, says := clusterScript(t, freePair(t), services...)
		err := cmd.Run()
		if err == nil || !strings.Contains(says.String(), " has ended; the last lines of "+dir) || !strings.Contains(says.String(), "is no URI of MongoDB") {
			t.Errorf("it ends with %v and says\n%s", err, says)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.pid")); len(left) > 0 {
			t.Errorf("these are recorded still: %q", left)
		}
	})
	t.Run("a recorded process is somebody else's", func(t *testing.T) {
		other := exec.Command("sleep", "600")
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = other.Process.Kill(), other.Wait() }()
		cmd, dir, says := clusterScript(t, freePair(t), services...)
		record := fmt.Sprintf("%d 1\n", other.Process.Pid) // by a process that began with the machine
		if err := os.WriteFile(filepath.Join(dir, "host-3.pid"), []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Run(); err == nil {
			t.Errorf("it says\n%s", says)
		}
		if err := other.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("it has ended: %v", err)
		}
	})
}

// What make cluster has started, and what was killed and started again by the script for it, ends with it.
func TestClusterScriptStartsAPartAgain(t *testing.T) {
	cmd, dir, says := clusterScript(t, freePair(t), clusterEnv(t)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(2 * time.Minute):
			t.Errorf("it does not end:\n%s", says)
			_ = cmd.Process.Kill()
		}
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(2 * time.Minute); !ok(); <-tick.C {
			if time.Now().After(end) {
				stop()
				t.Fatalf("waited too long for %s:\n%s", what, says)
			}
		}
	}
	said := func(text string) func() bool {
		return func() bool { return strings.Contains(says.String(), text) }
	}
	await("the cluster", said("Ctrl-C stops everything"))
	script := filepath.Join(dir, "start-host-2.sh")
	if info, err := os.Stat(script); err != nil || info.Mode().Perm() != 0o700 { // it has the passwords of services
		t.Errorf("%v %v", info, err)
	}
	record, err := os.ReadFile(filepath.Join(dir, "host-2.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(record))[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await("a word on it", said("host-2 has ended: its log is "+filepath.Join(dir, "host-2.log")+"; "+script+" starts it again"))
	again := exec.Command(script)
	again.Env = []string{"PATH=" + os.Getenv("PATH")} // as from another terminal
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	await("its return", said("host-2 runs again"))
	stop()
	if left := processesOf(built.dir); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}
