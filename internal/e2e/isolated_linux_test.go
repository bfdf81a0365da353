package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/plugins"
)

// TestAnIsolatedTask gives a task another user, namespaces of its own and no files but its own, by REST.
func TestAnIsolatedTask(t *testing.T) {
	const user = 65533
	is := skalds.Isolation{
		User: fmt.Sprintf("%d:%d", user, user), Namespaces: []skalds.Namespace{skalds.NamespacePID, skalds.NamespaceNet},
		Paths: &skalds.Paths{}, NoNewPrivileges: true,
	}
	if lacking := plugins.ProbeIsolation().Lacks(is.Needs()); lacking != "" {
		t.Skip("this machine ", lacking)
	}
	for dir := built.plugins; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&1 == 0 {
			t.Skipf("other users cannot reach the workers below %s (%v): set TMPDIR to a folder that they can pass", dir, err)
		}
	}
	closed, err := os.MkdirTemp(built.tmp, "closed-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(closed) })
	dir := filepath.Join(closed, "data")
	p := standalone(t, dir)
	isolated := func(c *api.CreateTask) { c.Isolation = is }
	p.create(task("apart", "wait", isolated))
	p.becomes("apart", "says why it cannot be started", func(r api.TaskResponse) bool {
		b, err := json.Marshal(r)
		return err == nil && strings.Contains(string(b), fmt.Sprintf("user %d cannot reach %s/recordings/apart, because %s is closed to it", user, dir, closed))
	})
	for _, folder := range []string{closed, dir} {
		if err := os.Chmod(folder, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	first := p.runs("apart")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", first.Instance.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("Uid:\t%d\t%d\t%d\t%d\n", user, user, user, user), "\nGroups:\t \n", "NoNewPrivs:\t1\n", "CapEff:\t0000000000000000\n", "\t1\nNSpgid:"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("its process is not %q:\n%s", want, status)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "recordings", "apart", "notes")); err != nil || info.Sys().(*syscall.Stat_t).Uid != user {
		t.Errorf("what it wrote: %v, %v", info, err)
	}
	if err := syscall.Kill(first.Instance.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := p.becomes("apart", "runs again", func(r api.TaskResponse) bool {
		return r.Attempt == first.Attempt+1 && r.Phase == skalds.PhaseNone && r.Instance != nil && r.Instance.PID != first.Instance.PID
	})
	if second.LastExit == nil || second.LastExit.Signal != syscall.SIGKILL.String() {
		t.Errorf("last exit %+v", second.LastExit)
	}
	if _, err := p.Pause(t.Context(), "apart"); err != nil {
		t.Fatal(err)
	}
	p.becomes("apart", "is paused", func(r api.TaskResponse) bool { return r.LifecycleStatus == skalds.Paused })
	if _, err := p.Cancel(t.Context(), "apart"); err != nil {
		t.Fatal(err)
	}
	if r := p.ends("apart"); r.LifecycleStatus != skalds.Cancelled {
		t.Errorf("ended as %s", r.LifecycleStatus)
	}
	p.wait("its process is gone", func() bool { return syscall.Kill(second.Instance.PID, 0) != nil })
}
