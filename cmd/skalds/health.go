package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/conf"
)

// leastFree is the free space below which a standalone is not ready: bus, store and journal are about to fail, and which
// of them fails first depends on the size of a write.
const leastFree = 8 << 20

// health adds the disk under the data folder to the services that must answer.
type health struct {
	api.Health
	dir string
}

// Ready has one line per service; empty text = fine.
func (h health) Ready(ctx context.Context) map[string]string {
	out := h.Health.Ready(ctx)
	out["disk"] = ""
	var disk syscall.Statfs_t
	if err := syscall.Statfs(h.dir, &disk); err != nil {
		out["disk"] = fmt.Sprintf("the free space under %s cannot be read: %v", h.dir, err)
	} else if free := uint64(disk.Bavail) * uint64(disk.Bsize); free < leastFree {
		out["disk"] = fmt.Sprintf("the disk under %s is full, %s are free: free some space there", h.dir, conf.ByteSize(free))
	}
	return out
}

// orStopped is nil where a program was stopped while it started: nothing had begun.
func orStopped(err error) error {
	var exit *exitError
	if errors.Is(err, skalds.ErrStopping) && !errors.As(err, &exit) {
		return nil
	}
	return err
}

// diskAdvice says what to do about a data folder that takes nothing.
func diskAdvice(dir string, err error) error {
	var said *skalds.Error
	var exit *exitError
	if err == nil || errors.As(err, &said) || errors.As(err, &exit) {
		return err // it says more already
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &skalds.Error{Code: skalds.CodeUnavailable, Err: err, Message: fmt.Sprintf("the disk under %s is full: free some space there, or name another folder with --data-dir", dir)}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return &skalds.Error{Code: skalds.CodeUnavailable, Err: err, Message: fmt.Sprintf("the data folder %s cannot be used: let this user write there, or name another folder with --data-dir", dir)}
	}
	return err
}
