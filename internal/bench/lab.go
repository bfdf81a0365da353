package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/skalds-go/skalds/plugins"
)

const (
	module        = "github.com/skalds-go/skalds"
	workerName    = "bench-worker"
	workerVersion = "1.0.0"
	workerClass   = "Bench"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// lab is where experiments take place: a temporary folder with the binaries that they measure.
type lab struct {
	dir   string
	short bool
	notes io.Writer             // for what people may want to know while they wait
	start func(*exec.Cmd) error // starts a command that dies with this process

	program string          // skalds; empty until it is needed
	plugin  *plugins.Plugin // the worker
	lent    *services       // nil until they are needed
	rooms   int
}

func newLab(ctx context.Context, short bool, notes io.Writer, start func(*exec.Cmd) error) (_ *lab, err error) {
	dir, err := os.MkdirTemp("", "skalds-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	l := &lab{dir: dir, short: short, notes: notes, start: start}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := l.build(ctx, l.trivial(), "internal/bench/trivial"); err != nil {
		return nil, err
	}
	if err := l.build(ctx, filepath.Join(l.plugins(), workerName, workerVersion, workerName), "internal/bench/worker"); err != nil {
		return nil, err
	}
	catalog := plugins.NewCatalog(plugins.CatalogConfig{Dir: l.plugins()}, nil)
	if err := catalog.Scan(ctx); err != nil {
		return nil, err
	}
	if l.plugin, err = catalog.Resolve(workerClass, ""); err != nil {
		return nil, err
	}
	return l, nil
}

// Close stops services that were started for the lab, and removes the folder.
func (l *lab) Close() (err error) {
	if l.lent != nil {
		err = l.lent.Close()
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

func (l *lab) trivial() string { return filepath.Join(l.dir, "trivial") }
func (l *lab) plugins() string { return filepath.Join(l.dir, "plugins") }

// times is how often to measure.
func (l *lab) times(full, short int) int {
	if l.short {
		return short
	}
	return full
}

// room makes an empty folder.
func (l *lab) room() (string, error) {
	l.rooms++
	dir := filepath.Join(l.dir, strconv.Itoa(l.rooms))
	return dir, os.Mkdir(dir, 0o700)
}

// build compiles a package of this module as releases are compiled.
func (l *lab) build(ctx context.Context, out, pkg string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, module+"/"+pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	var text bytes.Buffer
	c.Stdout, c.Stderr, c.SysProcAttr = &text, &text, tied()
	err := l.start(c)
	if err == nil {
		err = c.Wait()
	}
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, bytes.TrimSpace(text.Bytes()))
	}
	return nil
}

// forkExec is the reference: how long a trivial program takes from fork to its reaped end.
func (l *lab) forkExec() (time.Duration, error) {
	start := time.Now()
	err := exec.Command(l.trivial()).Run()
	return time.Since(start), err
}

// until polls for what no event announces.
func until(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s: %s", patience, what))
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		switch done, err := ok(); {
		case err != nil:
			return err
		case done:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
