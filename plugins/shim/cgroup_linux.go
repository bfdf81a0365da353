package shim

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds/plugins/cgroup"
)

// killGroupWithin is how long one attempt may take where the kernel does not kill a group at once.
const killGroupWithin = 50 * time.Millisecond

// killCgroups kills everybody in the groups.
func killCgroups(dirs []string) {
	for _, dir := range dirs[:min(1, len(dirs))] { // that of version 2 comes first
		if os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), killGroupWithin)
		_ = cgroup.Reopen(dirs).Kill(ctx) // looked at again, as long as somebody lives there
		cancel()
		return
	}
}

func anybodyIn(dirs []string) bool {
	if len(dirs) == 0 {
		return false
	}
	if b, err := os.ReadFile(filepath.Join(dirs[0], "cgroup.events")); err == nil { // version 2, of which everybody is a member
		return bytes.Contains(b, []byte("populated 1"))
	}
	pids, err := cgroup.Reopen(dirs).PIDs()
	return err == nil && len(pids) > 0
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
