package plugins

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
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
	if got, err := readOOMScore(a.PID()); err != nil || got != 800 {
		t.Errorf("got %d, %v", got, err)
	}
}
