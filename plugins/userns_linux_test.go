package plugins

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/internal/testlog"
)

// inUserNamespace runs the calling test in a process without privileges over this machine, and is true there.
func inUserNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv("SCRIPT_USER_NAMESPACE") != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), "SCRIPT_USER_NAMESPACE=1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		t.Skip("no user namespace here: ", err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out.String())
	}
	return false
}

func TestACatalogWithoutInotifyLooksOften(t *testing.T) {
	if !inUserNamespace(t) {
		return
	}
	const limit = "/proc/sys/user/max_inotify_instances"
	if err := os.WriteFile(limit, []byte("0"), 0); err != nil {
		t.Skip("cannot take inotify away: ", err)
	}
	if w, err := fsnotify.NewWatcher(); err == nil {
		t.Fatal(w.Close(), "nothing was taken away")
	}
	var said testlog.Buffer
	dir := t.TempDir()
	c := NewCatalog(CatalogConfig{Dir: dir, Rescan: 100 * time.Millisecond}, hclog.New(&hclog.LoggerOptions{Output: &said}))
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- c.Run(ctx) }()
	eventually(t, "it says so", 20*time.Second, func() bool { return strings.Contains(said.String(), "not announced") })
	installWorker(t, dir, scriptName, scriptVersion)
	eventually(t, "it finds a worker", 20*time.Second, func() bool { return len(c.Workers()) == 1 })
	if n := strings.Count(said.String(), "not announced"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if err := os.WriteFile(limit, []byte("100"), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it watches", 20*time.Second, func() bool { return descriptorsOf(t, "inotify") == 1 })
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
	if long := NewCatalog(CatalogConfig{}, nil); long.every(true) != rescanUnwatched || long.every(false) <= rescanUnwatched {
		t.Errorf("every %s, unwatched every %s", long.every(false), long.every(true))
	}
}

// descriptorsOf counts open files of this process by a part of what they are.
func descriptorsOf(t *testing.T, what string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, what) {
			n++
		}
	}
	return n
}

func TestANicenessThatIsNotAllowedIsNoObstacle(t *testing.T) {
	if !inUserNamespace(t) {
		return
	}
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Nice: -5})
	if n, err := syscall.Getpriority(syscall.PRIO_PROCESS, a.PID()); err != nil || n > 20 { // the kernel counts from 40 down
		t.Errorf("the kernel allowed a niceness of %d, %v: nothing was tested", 20-n, err)
	}
}

// A container's own score can be higher than what workers get; the kernel lets nobody lower it.
func TestAWorkersOOMScoreIsNoLowerThanItsHosts(t *testing.T) {
	const path = "/proc/self/oom_score_adj"
	own, err := os.ReadFile(path)
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	t.Cleanup(func() { _ = os.WriteFile(path, own, 0) })
	if err := os.WriteFile(path, []byte("800"), 0); err != nil {
		t.Fatal(err)
	}
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	if got, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", a.PID())); err != nil || strings.TrimSpace(string(got)) != "800" {
		t.Errorf("got %s, %v", got, err)
	}
}
