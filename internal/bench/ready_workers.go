package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// restsAfter is how often in a row workers are seen to use nothing before they count as ready, restsEvery how far apart.
	restsAfter = 3
	restsEvery = 10 * time.Millisecond
)

// poolRests waits until a worker is ready for a task, and no other is being started: all that run have shaken hands, which shows
// in a connection, and use no CPU.
func (l *lab) poolRests(ctx context.Context) error {
	var last time.Duration
	var looked time.Time
	rests := 0
	return until(ctx, "a worker is ready", func() (bool, error) {
		if time.Since(looked) < restsEvery {
			return false, nil
		}
		looked = time.Now()
		pids, err := l.running(l.plugin.Path)
		if err != nil {
			return false, err
		}
		var used time.Duration
		ready := len(pids) > 0
		for _, pid := range pids {
			cpu, err := cpuClock(pid)
			if err != nil { // it is gone
				ready = false
				break
			}
			used += cpu
			ready = ready && sockets(pid) >= 2 // it listens, and somebody has called
		}
		if !ready || used != last {
			last, rests = used, 0
			return false, nil
		}
		rests++
		return rests >= restsAfter, nil
	})
}

// running lists the processes that run the file, or one in the folder.
func (l *lab) running(path string) (pids []int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err == nil && (exe == path || strings.HasPrefix(exe, path+"/")) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// sockets counts those that a process has open.
func sockets(pid int) (n int) {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
