package host

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/skalds-go/skalds"
)

// identity is the hold of a host on its data folder: one host at a time, with a name that stays.
type identity struct {
	NodeID string
	lock   *os.File
}

// claim locks dir for this host and settles its name: the one asked for, else the one of the last time, else a new one.
func claim(dir, nodeID string) (*identity, error) {
	if err := makePrivate(dir); err != nil {
		return nil, fmt.Errorf("claim the data folder: %w", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claim the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		b, _ := io.ReadAll(io.LimitReader(f, 32))
		err = skalds.Errorf(skalds.CodeConflict, "the data folder %s is in use by another host (pid %s): stop it, or name another folder with --data-dir", dir, strings.TrimSpace(string(b)))
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	id := &identity{NodeID: nodeID, lock: f}
	if id.NodeID == "" {
		if id.NodeID, err = keptName(filepath.Join(dir, "node-id")); err != nil {
			return nil, errors.Join(err, id.Close())
		}
	}
	return id, nil
}

// keptName reads the node's name, or makes one up and keeps it.
func keptName(path string) (string, error) {
	b, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(b)); err == nil && name != "" {
		if err := skalds.ValidateID(name); err != nil {
			return "", fmt.Errorf("read the node's name from %s: %w", path, err)
		}
		return name, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	var raw [3]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("make a name for the node: %w", err)
	}
	name := "skalds-" + hex.EncodeToString(raw[:])[:5]
	if err := os.WriteFile(path, []byte(name+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("keep the node's name: %w", err)
	}
	return name, nil
}

// Close lets go of the folder.
func (i *identity) Close() error { return i.lock.Close() }
