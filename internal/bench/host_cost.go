package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/skalds-go/skalds/host"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// hostCost is what each further running task costs its host and its shim: a host runs in this process on a workers file, first
// with one task, then with n more.
func hostCost(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(100, 10)
	dir, err := l.room()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "workers.yml")
	if err := writeWorkers(file, 1); err != nil {
		return nil, err
	}
	cfg := host.DefaultConfig()
	cfg.Node, cfg.DataDir, cfg.WorkersFile, cfg.NodeID, cfg.Grace = false, dir, file, "bench", time.Second
	launcher, err := plugins.NewLauncher(plugins.LauncherConfig{RunDir: filepath.Join(dir, "run"), Cgroups: plugins.CgroupsAuto}, nil)
	if err != nil {
		return nil, err
	}
	h, err := host.New(cfg, host.Deps{
		Catalog: plugins.NewCatalog(plugins.CatalogConfig{Dir: l.plugins()}, nil), Launcher: launcher, Sampler: procstats.New(),
	}, nil)
	if err != nil {
		return nil, err
	}
	runCtx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.Run(runCtx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended)
	}()
	before, err := costWith(ctx, dir, 1)
	if err != nil {
		return nil, err
	}
	if err := writeWorkers(file, 1+n); err != nil {
		return nil, err
	}
	after, err := costWith(ctx, dir, 1+n)
	if err != nil {
		return nil, err
	}
	return []value{
		{value: float64(after.goroutines-before.goroutines) / float64(n), n: n},
		{value: float64(after.files-before.files) / float64(n), n: n},
		{value: mebibytes(after.bytes-before.bytes) / float64(n), n: n},
	}, nil
}

// cost is what this process and its shim hold; goroutines are this one's.
type cost struct {
	goroutines, files int
	bytes             int64
}

// costWith waits until n tasks are in Main and takes stock, after garbage has been given back.
func costWith(ctx context.Context, dir string, n int) (c cost, err error) {
	err = until(ctx, fmt.Sprintf("%d tasks run", n), func() (bool, error) {
		began, err := filepath.Glob(filepath.Join(dir, "recordings", "*", "began"))
		return len(began) == n, err
	})
	if err != nil {
		return c, err
	}
	debug.FreeOSMemory()
	c.goroutines = runtime.NumGoroutine()
	shim, err := ownShim()
	if err != nil {
		return c, err
	}
	for _, pid := range []int{os.Getpid(), shim} {
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return c, err
		}
		bytes, err := uniqueBytes(pid)
		if err != nil {
			return c, err
		}
		c.files, c.bytes = c.files+len(files), c.bytes+bytes
	}
	return c, nil
}

// writeWorkers replaces the workers file by one with n tasks that wait.
func writeWorkers(path string, n int) error {
	var b strings.Builder
	b.WriteString("TaskWorkers:\n")
	for i := range n {
		fmt.Fprintf(&b, "  wait-%d:\n    className: %s\n    attachments:\n      do: wait\n", i, workerClass)
	}
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
