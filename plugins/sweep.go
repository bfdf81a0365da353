package plugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// Sweep kills what an earlier host with this run folder has left behind, and removes its private folders. Processes are
// found by the launch id in their environment, which names the run folder; call it before the first Launch.
func (l *Launcher) Sweep(ctx context.Context) (killed int, err error) {
	seen := map[procstats.ID]bool{}
	for {
		left, err := l.foreign()
		if err != nil {
			return killed, fmt.Errorf("sweep: %w", err)
		}
		if len(left) == 0 {
			break
		}
		for _, id := range left {
			signalProcess(id, syscall.SIGKILL)
			if !seen[id] {
				seen[id] = true
				killed++
			}
		}
		select {
		case <-ctx.Done():
			return killed, fmt.Errorf("sweep: %d processes are still there: %w", len(left), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
	entries, err := os.ReadDir(l.base)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return killed, fmt.Errorf("sweep: %w", err)
	}
	living := map[string]bool{}
	l.mu.Lock()
	for _, known := range []map[string]*Instance{l.instances, l.launching} {
		for _, i := range known {
			living[filepath.Base(i.dir)] = true
		}
	}
	l.mu.Unlock()
	var errs []error
	for _, e := range entries {
		if living[e.Name()] {
			continue
		}
		if _, err := os.Stat(filepath.Join(l.base, e.Name(), "token")); err == nil {
			errs = append(errs, os.RemoveAll(filepath.Join(l.base, e.Name())))
		}
	}
	return killed, errors.Join(errs...)
}

// foreign lists live processes with a launch id of our run folder and no instance of ours, and what they have started.
func (l *Launcher) foreign() ([]procstats.ID, error) {
	list, err := procstats.List()
	if err != nil {
		return nil, err
	}
	var roots []procstats.ID
	for _, p := range list {
		if p.State == 'Z' || p.PID == os.Getpid() {
			continue
		}
		id, ok := procstats.Environ(p.PID, protocol.EnvLaunchID)
		if !ok || id == l.askID || !strings.HasPrefix(id, l.prefix+"-") {
			continue
		}
		l.mu.Lock()
		_, ours := l.instances[id]
		ours = ours || l.launching[id] != nil
		l.mu.Unlock()
		if !ours {
			roots = append(roots, p.ID)
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	var out []procstats.ID
	for _, p := range procstats.NewTable(list).Tree(procstats.ID{}, roots) {
		if p.State != 'Z' {
			out = append(out, p.ID)
		}
	}
	return out, nil
}
