package shim

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// killCgroups kills everybody in the groups.
func killCgroups(dirs []string) {
	for _, dir := range dirs {
		if os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) == nil {
			continue
		}
		for _, pid := range membersOf(dir) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

func anybodyIn(dirs []string) bool {
	for _, dir := range dirs {
		if len(membersOf(dir)) > 0 {
			return true
		}
	}
	return false
}

func membersOf(dir string) (pids []int) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	for f := range bytes.FieldsSeq(b) {
		if pid, err := strconv.Atoi(string(f)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// removeCgroups reports whether they are gone.
func removeCgroups(dirs []string) bool {
	gone := true
	for _, dir := range dirs {
		if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
			gone = false
		}
	}
	return gone
}
