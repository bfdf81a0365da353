package sdk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// controlGroup makes a group of the unified hierarchy.
func controlGroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Skip("no mounts to read: ", err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		dir, err := os.MkdirTemp(f[1], "skalds-sdk-test")
		if err != nil {
			t.Skip("no control group can be made here: ", err)
		}
		t.Cleanup(func() {
			eventually(t, "the control group can be removed", func() bool { return !errors.Is(os.Remove(dir), syscall.EBUSY) })
		})
		if _, err := os.Stat(filepath.Join(dir, "cgroup.kill")); err != nil {
			t.Skip("control groups cannot be killed here: ", err)
		}
		return dir
	}
	t.Skip("no unified control groups here")
	return ""
}

// runWithStray runs a task that has started a process in a session of its own, and returns when that runs.
func (l *launched) runWithStray(t *testing.T) (worker, stray int) {
	t.Helper()
	dir := t.TempDir()
	events, _ := l.run(t, dir, `{"do":"stray"}`)
	eventually(t, "the stray runs", units(events, 2))
	b, err := os.ReadFile(filepath.Join(dir, "pids"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(b), &worker, &stray); err != nil {
		t.Fatalf("%v in %q", err, b)
	}
	if sid, err := unix.Getsid(stray); err != nil || sid != stray { // its number is that of another namespace, or another's by now
		t.Fatalf("process %d is not the stray: %d, %v", stray, sid, err)
	}
	fd, err := unix.PidfdOpen(stray, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		_ = unix.Close(fd)
	})
	return worker, stray
}

func TestNobodyOfTheControlGroupOutlivesTheHost(t *testing.T) {
	group := controlGroup(t)
	l := launchAs(t, "1", protocol.EnvCgroupKill+"="+filepath.Join(group, "cgroup.kill"))
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(l.cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stray := l.runWithStray(t)
	_ = l.liveness.Close()
	eventually(t, "the worker is gone", l.client.Exited)
	eventually(t, "the stray is gone", func() bool { return !alive(stray) })
}

// Where the file is no control group's, the process group ends all the same.
func TestTheProcessGroupEndsAfterTheControlGroup(t *testing.T) {
	for name, file := range map[string]string{"file": filepath.Join(t.TempDir(), "cgroup.kill"), "missing": "/nowhere/cgroup.kill"} {
		t.Run(name, func(t *testing.T) {
			if name == "file" {
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l := launchAs(t, "1", protocol.EnvCgroupKill+"="+file)
			child, end := l.runWithChild(t)
			_ = l.liveness.Close()
			if err := <-end; err == nil {
				t.Error("the stream ended well")
			}
			eventually(t, "the worker is gone", l.client.Exited)
			eventually(t, "its child is gone", func() bool { return !alive(child) })
			if name == "file" {
				if b, err := os.ReadFile(file); err != nil || string(b) != "1" {
					t.Errorf("cgroup.kill holds %q, %v", b, err)
				}
			} else if want := "the control group cannot be killed from here"; !strings.Contains(l.stderr.String(), want) {
				t.Errorf("stderr %q, want %q in it", l.stderr, want)
			}
		})
	}
}

func TestProcessDiesWhenItsParentStandsStill(t *testing.T) {
	l := launchAs(t, "parent")
	worker, _ := l.runWithStray(t)
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	eventually(t, "the worker is gone", func() bool { return !alive(worker) })
	t.Logf("gone %s after its parent was stopped", time.Since(stopped))
}

func TestProcessDiesWithItsParent(t *testing.T) {
	l := launchAs(t, "parent")
	worker, _ := l.runWithStray(t)
	if err := l.cmd.Process.Kill(); err != nil { // the liveness pipe stays open, and no signal was asked for
		t.Fatal(err)
	}
	eventually(t, "the worker is gone", func() bool { return !alive(worker) })
}
