package procstats

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The test binary is also what is measured: MEASURED_DO says what it does before it says "ready" and waits for the end of
// its standard input.
func TestMain(m *testing.M) {
	switch what, arg, _ := strings.Cut(os.Getenv("MEASURED_DO"), " "); what {
	case "":
		os.Exit(m.Run())
	case "memory":
		n, _ := strconv.Atoi(arg)
		b := make([]byte, n)
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		defer fmt.Fprint(os.Stderr, string(b[:0]))
	case "cpu": // a child's and its own
		d, _ := time.ParseDuration(arg)
		burn(d)
	case "child":
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "MEASURED_DO=cpu "+arg)
		if err := cmd.Run(); err != nil { // its standard input is empty
			panic(err)
		}
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// burn uses CPU time, however long that takes.
func burn(d time.Duration) {
	for {
		p, err := Read(os.Getpid())
		if err != nil || p.CPU >= d {
			return
		}
	}
}

// start gives a process that has said "ready".
func start(t testing.TB, what string) (pid int) {
	t.Helper()
	return startAs(t, os.Args[0], what)
}

// started are functions that end processes, by pid.
var started sync.Map

// stop ends a process that start has started, and reaps it.
func stop(t testing.TB, pid int) {
	t.Helper()
	end, ok := started.Load(pid)
	if !ok {
		t.Fatalf("process %d was not started here", pid)
	}
	end.(func())()
}

func startAs(t testing.TB, path, what string) (pid int) {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), "MEASURED_DO="+what)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	end := func() {
		once.Do(func() {
			_ = in.Close()
			_ = cmd.Wait()
		})
	}
	t.Cleanup(end)
	started.Store(cmd.Process.Pid, end)
	var said string
	if _, err := fmt.Fscan(out, &said); err != nil || said != "ready" {
		t.Fatalf("said %q: %v", said, err)
	}
	return cmd.Process.Pid
}
