package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// cpuClock is what the threads that a process has now have used, to the nanosecond.
func cpuClock(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("read what process %d has used: it has no threads that tell, %w", pid, os.ErrNotExist)
	}
	var sum time.Duration
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		var ns int64
		if _, err := fmt.Sscan(string(b), &ns); err != nil {
			return 0, fmt.Errorf("read %s: %w", file, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// coresUsed watches a process, whose threads stay, for a while.
func coresUsed(ctx context.Context, pid int, window time.Duration) (float64, error) {
	before, err := cpuClock(pid)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := pause(ctx, window); err != nil {
		return 0, err
	}
	after, err := cpuClock(pid)
	return (after - before).Seconds() / time.Since(start).Seconds(), err
}

// pause lets time pass, which is what is measured.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
