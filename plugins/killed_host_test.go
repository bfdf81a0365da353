package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// hostToBeKilled is a host that launches one worker with children and waits for its death.
func hostToBeKilled(dir string) int {
	ctx := context.Background()
	_ = os.Unsetenv("SCRIPT_HOST") // its workers are none
	l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		return 1
	}
	c := NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins"), LaunchID: l.DescribeID()}, nil)
	if err = c.Scan(ctx); err == nil {
		go func() { _ = l.Run(ctx) }()
		var p *Plugin
		if p, err = c.Resolve("Script", ""); err == nil {
			var i *Instance
			spec := LaunchSpec{Plugin: p, TaskID: "t", DataDir: dir}
			_ = json.Unmarshal([]byte(os.Getenv("SCRIPT_ISOLATION")), &spec.Isolation) // where there is one
			if i, err = l.Launch(ctx, spec); err == nil {
				fmt.Println(i.PID())
				b, _ := json.Marshal(script{Do: "fork", File: filepath.Join(dir, "pids")})
				err = i.Worker().Run(ctx, protocol.RunRequest{TaskID: "t", ClassName: "Script", Epoch: 1, Attempt: 1, Attachments: b, DataDir: dir}, func(protocol.RunEvent) {})
			}
		}
	}
	fmt.Fprintln(os.Stderr, "host:", err)
	return 1
}

func TestNothingOutlivesAKilledHost(t *testing.T) {
	for _, how := range []string{"running", "frozen"} {
		t.Run(how, func(t *testing.T) { killAHost(t, how == "frozen") })
	}
}

func killAHost(t *testing.T, frozen bool) {
	t.Helper()
	dir := t.TempDir()
	installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SCRIPT_HOST="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as of a service: this test's process may adopt orphans
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var worker string
	if _, err := fmt.Fscan(out, &worker); err != nil {
		t.Fatal(err)
	}
	pids := children(t, filepath.Join(dir, "pids"))
	if frozen {
		for _, pid := range []string{worker, pids[0]} {
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			freezeFromOutside(t, n)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	eventually(t, "the worker is gone", 10*time.Second, func() bool { return !alive(t, worker) })
	for i, pid := range pids {
		eventually(t, fmt.Sprintf("child %d is gone", i), 10*time.Second, func() bool { return !alive(t, pid) })
	}
	l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, l) })
	if n, err := l.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("swept %d, %v", n, err)
	}
	if entries, err := os.ReadDir(l.base); err != nil || len(entries) > 0 {
		t.Errorf("left in the run folder: %v %v", entries, err)
	}
	if n, err := l.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("second sweep: %d, %v", n, err)
	}
}

func TestAHangingDescribeIsSwept(t *testing.T) {
	dir := t.TempDir()
	installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SCRIPT_HOST="+dir, "SCRIPT_START=hang")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, l) })
	asked := func() []procstats.ID {
		left, err := l.foreign()
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	eventually(t, "it is asked", 10*time.Second, func() bool { return len(asked()) == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	t.Setenv("SCRIPT_START", "hang")
	ctx, cancel := context.WithCancel(t.Context())
	c := NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins"), LaunchID: l.DescribeID(), DescribeTimeout: time.Minute}, nil)
	over := make(chan error, 1)
	go func() { over <- c.Scan(ctx) }()
	eventually(t, "another one is asked by the new host", 10*time.Second, func() bool { return len(childrenOfThisProcess(t)) > 0 })
	if n, err := l.Sweep(t.Context()); err != nil || n != 1 {
		t.Errorf("swept %d, %v", n, err)
	}
	l.reapOrphans(false)
	select {
	case err := <-over:
		t.Errorf("its own was swept, too: %v", err)
	case <-time.After(100 * time.Millisecond): // a killed one would be seen to end by then
		cancel()
		<-over
	}
	cancel()
}

func TestSweepSparesTheLiving(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	other, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(t.TempDir(), "run")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, other) })
	for _, sweeper := range []*Launcher{l, other} { // its own, and that of another host's folder
		if n, err := sweeper.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("swept %d, %v", n, err)
		}
	}
	if !alive(t, strconv.Itoa(a.PID())) {
		t.Error("killed")
	}
	if _, err := os.Stat(filepath.Join(a.dir, "token")); err != nil {
		t.Errorf("its folder was swept: %v", err)
	}
}
