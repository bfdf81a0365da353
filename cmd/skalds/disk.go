package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

const (
	// leastFree is the free space below which a disk counts as full: bus, store and journal are about to fail, and which of
	// them fails first depends on the size of a write.
	leastFree = 8 << 20
	// enoughFree is the free space from which a disk that was full is not any more. It is larger, so that a disk on the verge
	// is not told of at each turn.
	enoughFree = 2 * leastFree
	// diskEvery is how often the disk is looked at.
	diskEvery = time.Second
)

// disk is what the data folder lies on.
type disk struct{ dir string }

// look reads how much is free and says what is wrong with the disk; empty = nothing.
func (d disk) look() (free uint64, trouble string) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &st); err != nil {
		return 0, fmt.Sprintf("the free space under %s cannot be read: %v", d.dir, err)
	}
	if free = uint64(st.Bavail) * uint64(st.Bsize); free < leastFree {
		trouble = fmt.Sprintf("the disk under %s is full, %s are free: free some space there", d.dir, conf.ByteSize(free))
	}
	return free, trouble
}

// watch says once that the disk is full, and once that there is room again, until ctx ends. The parts that fail of it say
// only what they do about it.
func (d disk) watch(ctx context.Context, log hclog.Logger) {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for full := false; ; {
		free, trouble := d.look()
		switch {
		case !full && trouble != "":
			full = true
			log.Error(trouble)
		case full && free >= enoughFree:
			full = false
			log.Info("the disk has room again", "dir", d.dir, "free", conf.ByteSize(free))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
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
