package plugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// sweepWithin is how long Sweep waits for what it has killed: a process in uninterruptible sleep (a dead network file
// system, a broken disk) may not go for days, and shall not keep the host from starting.
const sweepWithin = 5 * time.Second

// Sweep kills what an earlier host with this run folder has left behind, and removes its private folders. Processes are
// found by the launch id in their environment, which names the run folder; call it before the first Launch. What does not
// die within sweepWithin is told in the log and left.
func (l *Launcher) Sweep(ctx context.Context) (killed int, err error) {
	if killed, err = l.killAll(ctx, l.foreign); err != nil {
		return killed, fmt.Errorf("sweep: %w", err)
	}
	inGroups, err := l.groups.sweep(ctx, func(name string) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.instances[name] != nil || l.launching[name] != nil
	})
	killed += inGroups
	if err != nil {
		l.log.Warn("control groups of an earlier host are left", "err", err)
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
		if e.IsDir() && privateFolder.MatchString(e.Name()) {
			errs = append(errs, os.RemoveAll(filepath.Join(l.base, e.Name())))
		}
	}
	return killed, errors.Join(errs...)
}

// privateFolder is how the private folders of instances are named. What is in one tells nothing: its host may have died while
// it made or removed it.
var privateFolder = regexp.MustCompile(`^[0-9a-z]+-[0-9a-f]{4}$`)

// killAll kills what look finds until it finds nothing more, or for sweepWithin.
func (l *Launcher) killAll(ctx context.Context, look func() ([]procstats.ID, error)) (killed int, err error) {
	seen := map[procstats.ID]bool{}
	for deadline := time.Now().Add(sweepWithin); ; {
		left, err := look()
		if err != nil || len(left) == 0 {
			return killed, err
		}
		pids := make([]int, 0, len(left))
		for _, id := range left {
			signalProcess(id, syscall.SIGKILL)
			pids = append(pids, id.PID)
			if !seen[id] {
				seen[id] = true
				killed++
			}
		}
		if time.Now().After(deadline) {
			l.log.Warn("processes of an earlier host do not die: the machine may be short of a disk or of a network file system", "pids", pids)
			return killed, nil
		}
		select {
		case <-ctx.Done():
			return killed, fmt.Errorf("%d processes are still there: %w", len(left), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
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
