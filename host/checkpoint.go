package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skalds-go/skalds"
)

// checkpoints keeps the last state that each task has saved, as files in one folder. They stay on this node.
type checkpoints struct{ dir string }

func (c checkpoints) path(taskID string) string {
	return filepath.Join(c.dir, skalds.FileName(taskID)+".checkpoint")
}

// save replaces the task's checkpoint, durably.
func (c checkpoints) save(taskID string, state []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	if err := replaceFile(c.path(taskID), state, 0o600); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return nil
}

// load reads the task's checkpoint.
func (c checkpoints) load(taskID string) (state []byte, found bool, err error) {
	b, err := os.ReadFile(c.path(taskID))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("load checkpoint: %w", err)
	}
	return b, true, nil
}

// remove forgets the task's checkpoint.
func (c checkpoints) remove(taskID string) error {
	if err := os.Remove(c.path(taskID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove checkpoint: %w", err)
	}
	return nil
}

// replaceFile writes a file by temporary file and rename, durably.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}
