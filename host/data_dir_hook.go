package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// dataDirHook makes the folder for what the task writes; it stays when the attempt has ended, unless it is empty. It also
// reads the last checkpoint of a class that can be started from one.
type dataDirHook struct{}

func (dataDirHook) before(_ context.Context, a *attempt) error {
	dir := filepath.Join(a.deps.dataDir, "recordings", skalds.FileName(a.task.ID))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &refusal{reason: fmt.Sprintf("make the task's folder: %v", err) + makeRoom}
	}
	if a.task.Isolation.User != "" {
		if err := openWay(a.deps.dataDir); err != nil {
			return &refusal{reason: err.Error()}
		}
	}
	a.dataDir = dir
	if slices.Contains(a.class.Capabilities, protocol.CapabilityCheckpoint) {
		state, _, err := a.deps.checkpoints.load(a.task.ID)
		if err != nil {
			a.log.Warn("cannot read the last checkpoint: the attempt starts without", "err", err)
		}
		a.checkpoint = state
	}
	return nil
}

func (dataDirHook) after(a *attempt) {
	if a.dataDir != "" {
		_ = syscall.Rmdir(a.dataDir) // only an empty folder goes, and no link to one
	}
}
