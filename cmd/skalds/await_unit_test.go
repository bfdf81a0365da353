package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTheGroupOfAUnit(t *testing.T) {
	const v2, v1 = "31 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "32 23 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd"
	for name, tt := range map[string]struct {
		groups, mounts string
		want           []string
	}{
		"version 2":           {"0::/system.slice/a.service", v2, []string{"/sys/fs/cgroup/system.slice/a.service"}},
		"beside the main one": {"0::/system.slice/a.service/.control", v2, []string{"/sys/fs/cgroup/system.slice/a.service"}},
		"version 1":           {"9:name=systemd:/system.slice/a.service\n8:pids:/\n0::/", v1, []string{"/sys/fs/cgroup/systemd/system.slice/a.service"}},
		"both": {"9:name=systemd:/s/a.service\n0::/s/a.service", v1 + "\n" + strings.ReplaceAll(v2, "cgroup rw -", "cgroup/unified rw -"), []string{
			"/sys/fs/cgroup/systemd/s/a.service", "/sys/fs/cgroup/unified/s/a.service",
		}},
		"below the mount's root": {"0::/lxc/x/s/a.service", "31 23 0:27 /lxc/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw", []string{"/sys/fs/cgroup/s/a.service"}},
		"a login":                {"0::/user.slice/user-0.slice/session-1.scope", v2, nil},
		"no unit":                {"0::/", v2, nil},
		"not mounted":            {"0::/s/a.service", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"cgroup": tt.groups, "mountinfo": tt.mounts} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := unitGroups(dir)
			if !slices.Equal(got, tt.want) || (err != nil) != (tt.want == nil) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// The files of a group are played; the processes are real.
func TestWhoIsLeftIsKilledAfterItsTime(t *testing.T) {
	group := t.TempDir()
	below := filepath.Join(group, "task")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	members := func(dir string, pids ...int) {
		t.Helper()
		var text strings.Builder
		for _, p := range pids {
			text.WriteString(strconv.Itoa(p) + "\n")
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	members(group, os.Getpid())
	members(below)
	if killed, err := awaitEmpty(t.Context(), []string{group}, time.Minute); err != nil || len(killed) > 0 {
		t.Fatalf("an empty group: %v, %v", killed, err)
	}
	c := exec.Command("sleep", "600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	members(below, c.Process.Pid)
	go func() {
		_ = c.Wait()
		_ = os.WriteFile(filepath.Join(below, "cgroup.procs"), nil, 0o600) // as the kernel does
	}()
	began := time.Now()
	killed, err := awaitEmpty(t.Context(), []string{group}, 500*time.Millisecond)
	if err != nil || !slices.Equal(killed, []int{c.Process.Pid}) {
		t.Errorf("killed %v, %v", killed, err)
	}
	if d := time.Since(began); d < 500*time.Millisecond {
		t.Errorf("killed after %s", d)
	}
	if err := syscall.Kill(c.Process.Pid, 0); err == nil {
		t.Error("it lives")
	}
	if killed, err := awaitEmpty(t.Context(), []string{filepath.Join(group, "gone")}, time.Second); err != nil || len(killed) > 0 {
		t.Errorf("a group that has been removed: %v, %v", killed, err)
	}
}
