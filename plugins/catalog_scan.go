package plugins

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/fsnotify/fsnotify"
	"golang.org/x/sync/errgroup"
)

// debounce is how long the folder must be quiet before it is scanned again.
const debounce = 200 * time.Millisecond

// settleTime is how long a file that cannot be used is asked again: somebody may still be copying it.
const settleTime = 10 * time.Second

// A scan that lasts longer publishes what it knows so far: one executable that hangs does not keep the others from being
// used. While answers come, it waits: of two that offer a class the first by name shall have it, not the faster one.
const (
	earlyEvery = time.Second    // without an answer
	earlyLast  = 3 * earlyEvery // also while answers come
)

// Scan looks through the folder once. Executables that have not changed are not asked again. A broken executable is a
// Problem, no error.
func (c *Catalog) Scan(ctx context.Context) error {
	c.scanning.Lock()
	defer c.scanning.Unlock()
	dir, err := filepath.Abs(c.cfg.Dir)
	if err != nil {
		return err
	}
	_, missing := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of workers: %w", err)
	}
	files, problems, err := executables(dir)
	if err != nil {
		return err
	}
	var mu sync.Mutex // guards next
	next := make(map[string]described, len(files))
	var ask []string
	for _, path := range files { // what is known stays so while others are asked
		if d, ok := c.known[path]; ok && d.plugin != nil && isStill(path, d.id) {
			next[path] = d
		} else {
			ask = append(ask, path)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.NumCPU())
	asked := make(chan struct{})
	var early sync.WaitGroup
	told, seen := len(next), len(next)
	early.Go(func() {
		tick := time.NewTicker(earlyEvery)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-asked:
				return
			case <-tick.C:
			}
			mu.Lock()
			now := maps.Clone(next)
			mu.Unlock()
			answers := len(now) > seen
			seen = len(now)
			if seen > told && (!answers || time.Since(last) >= earlyLast) {
				told, last = seen, time.Now()
				c.tell(now, append(slices.Clone(problems), unanswered(files, now)...))
			}
		}
	})
	for _, path := range ask {
		g.Go(func() error {
			d := c.learn(gctx, path)
			mu.Lock()
			next[path] = d
			mu.Unlock()
			return gctx.Err()
		})
	}
	err = g.Wait()
	close(asked)
	early.Wait()
	if err != nil {
		return err
	}
	c.known = next
	c.tell(next, problems)
	c.tellBare(dir, missing != nil, len(next)+len(problems) == 0)
	return nil
}

// tellBare warns once of a folder that holds nothing: its name may be mistyped.
func (c *Catalog) tellBare(dir string, made, bare bool) {
	if bare && !c.bare {
		found := "the folder of workers holds no worker"
		if made {
			found = "there was no folder of workers"
		}
		c.log.Warn(found+": copy one to "+filepath.Join(dir, "<name>", "<version>", "<name>"), "dir", dir)
	}
	c.bare = bare
}

// tell publishes what was learned.
func (c *Catalog) tell(known map[string]described, problems []Problem) {
	c.mu.RLock()
	before := c.plugins
	c.mu.RUnlock()
	plugins, conflicts := arrange(known, before)
	problems = append(problems, conflicts...)
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	c.publish(plugins, problems)
}

// unanswered names the files that are still asked.
func unanswered(files []string, known map[string]described) (out []Problem) {
	for _, path := range files {
		if _, ok := known[path]; !ok {
			out = append(out, Problem{path, "has not answered `describe` yet"})
		}
	}
	return out
}

// executables lists <dir>/<name>/<version>/<name>, and what seems to be meant as a worker but is not found in its place.
// Names with a dot in front are none of ours: whoever installs may prepare a version under such a name and rename it.
func executables(dir string) (files []string, problems []Problem, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("folder of workers: %w", err)
	}
	for _, n := range names {
		name := n.Name()
		at := filepath.Join(dir, name)
		if strings.HasPrefix(name, ".") {
			continue
		}
		if !isDir(at) {
			problems = append(problems, misplaced(at, filepath.Join(dir, name, "<version>", name))...)
			continue
		}
		versions, err := os.ReadDir(at)
		if err != nil {
			problems = append(problems, Problem{at, fmt.Sprintf("cannot be looked through: %v", err)})
			continue
		}
		for _, v := range versions {
			vdir := filepath.Join(at, v.Name())
			switch {
			case strings.HasPrefix(v.Name(), "."), isAlias(vdir, at):
			case !isDir(vdir):
				problems = append(problems, misplaced(vdir, filepath.Join(at, "<version>", name))...)
			default:
				path := filepath.Join(vdir, name)
				if reason := notAFile(path, name); reason != "" {
					problems = append(problems, Problem{path, reason})
				} else {
					files = append(files, path)
				}
			}
		}
	}
	return files, problems, nil
}

func isStill(path string, id fileIdentity) bool {
	info, err := os.Stat(path)
	return err == nil && identify(info) == id
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isAlias reports whether a folder of a version is but a link to another version in the same folder, such as "current".
func isAlias(vdir, folder string) bool {
	to, err := os.Readlink(vdir)
	if err != nil {
		return false
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(folder, to)
	}
	return filepath.Dir(filepath.Clean(to)) == folder
}

// misplaced speaks of executables only: anything else may lie wherever it likes.
func misplaced(path, want string) []Problem {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil
	}
	return []Problem{{path, "is an executable in the wrong place: move it to " + want}}
}

// notAFile says why there is no executable file at path.
func notAFile(path, name string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Lstat(path); err == nil {
			return "is a link to a file that does not exist: copy the executable here"
		}
		return fmt.Sprintf("does not exist: the executable must have the name of the worker, %s", name)
	case err != nil:
		return fmt.Sprintf("cannot be looked at: %v", err)
	case !info.Mode().IsRegular():
		return "is no regular file: copy the executable here"
	}
	return ""
}

// learn describes one file, unless it is the one that was described before.
func (c *Catalog) learn(ctx context.Context, path string) described {
	info, err := os.Stat(path)
	if err != nil {
		return described{reason: "has gone while it was looked at", retry: true}
	}
	id := identify(info)
	if d, ok := c.known[path]; ok && d.id == id && !d.retry {
		return d
	}
	d := described{id: id}
	if info.Mode()&0o111 == 0 {
		d.reason = "is not executable: run chmod +x on it"
		return d
	}
	desc, err := describe(ctx, path, c.cfg.LaunchID, c.cfg.DescribeTimeout)
	if err != nil {
		d.reason = err.Error()
		d.retry = ctx.Err() != nil || isBusy(err) || time.Since(time.Unix(0, max(id.mtime, id.ctime))) < settleTime
		return d
	}
	name, version := filepath.Base(path), filepath.Base(filepath.Dir(path))
	if desc.Name != name || desc.Version != version {
		d.reason = fmt.Sprintf("says that it is %s@%s but lies in the folder of %s@%s: move it to %s/%s/%s", desc.Name, desc.Version, name, version, desc.Name, desc.Version, desc.Name)
		return d
	}
	digest, err := digestOf(path)
	if err != nil {
		d.reason, d.retry = err.Error(), true
		return d
	}
	if again, err := os.Stat(path); err != nil || !identify(again).sameContent(id) {
		d.reason, d.retry = "changed while it was read: waiting until it is complete", true
		return d
	}
	d.plugin = &Plugin{Info: infoOf(desc, digest), Path: path, id: id}
	return d
}

// arrange sorts by name and version and leaves each class with the worker that has had it before, else with the first (by
// name) that offers it; another worker's offer of it is a conflict.
func arrange(known map[string]described, before []*Plugin) (plugins []*Plugin, problems []Problem) {
	for path, d := range known {
		if d.plugin != nil {
			plugins = append(plugins, d.plugin)
		} else {
			problems = append(problems, Problem{path, d.reason})
		}
	}
	slices.SortFunc(plugins, func(a, b *Plugin) int {
		if c := strings.Compare(a.Info.Name, b.Info.Name); c != 0 {
			return c
		}
		va, ea := semver.NewVersion(a.Info.Version)
		vb, eb := semver.NewVersion(b.Info.Version)
		if ea != nil || eb != nil {
			return strings.Compare(a.Info.Version, b.Info.Version)
		}
		return va.Compare(vb)
	})
	owner := owners(plugins, before)
	for i, p := range plugins {
		var lost []string
		info := p.Info
		info.Classes = nil
		for _, ci := range p.Info.Classes {
			if first := owner[ci.ClassName]; first != p.Info.Name {
				lost = append(lost, fmt.Sprintf("%s (offered by %s already)", ci.ClassName, first))
				continue
			}
			info.Classes = append(info.Classes, ci)
		}
		if len(lost) == 0 {
			continue
		}
		info.Conflict = "not used for " + strings.Join(lost, ", ")
		problems = append(problems, Problem{p.Path, info.Conflict + ": rename the class or remove one of the workers"})
		plugins[i] = &Plugin{Info: info, Path: p.Path, id: p.id}
	}
	return plugins, problems
}

// owners says which worker has each class.
func owners(plugins, before []*Plugin) map[string]string {
	offers := map[[2]string]bool{} // class, worker
	for _, p := range plugins {
		for _, ci := range p.Info.Classes {
			offers[[2]string{ci.ClassName, p.Info.Name}] = true
		}
	}
	owner := map[string]string{}
	for _, p := range slices.Concat(before, plugins) {
		for _, ci := range p.Info.Classes {
			if owner[ci.ClassName] == "" && offers[[2]string{ci.ClassName, p.Info.Name}] {
				owner[ci.ClassName] = p.Info.Name
			}
		}
	}
	return owner
}

// rescanUnwatched is how often the folder is scanned where the system cannot announce changes.
const rescanUnwatched = 5 * time.Second

// watch scans now and after changes. Folders are watched, not files: a copy ends with a rename or a write into one of them.
// Where nothing can be watched, for all of this user's watches are in use, it looks more often until one is free.
func (c *Catalog) watch(ctx context.Context) error {
	var w *fsnotify.Watcher
	defer func() {
		if w != nil {
			_ = w.Close()
		}
	}()
	var events chan fsnotify.Event // nil while nothing is watched
	var faults chan error
	blind := false
	rescan := time.NewTimer(c.cfg.Rescan)
	defer rescan.Stop()
	quiet := time.NewTimer(0) // the first scan comes at once
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-events:
			if !ok {
				return errors.New("the watch has ended")
			}
			quiet.Reset(debounce)
			continue
		case err := <-faults:
			c.log.Warn("watching the folder of workers", "err", err)
			quiet.Reset(debounce)
			continue
		case <-quiet.C:
		case <-rescan.C:
		}
		var err error
		if w == nil {
			if w, err = fsnotify.NewWatcher(); err == nil {
				events, faults = w.Events, w.Errors
			} else {
				w = nil
			}
		}
		if w != nil {
			err = c.addFolders(w) // before the scan: what comes after it is an event
		}
		if err != nil && !blind {
			c.log.Warn("changes of the folder of workers are not announced: it is looked at every few seconds", "dir", c.cfg.Dir, "every", c.every(true), "err", err)
		}
		blind = err != nil
		rescan.Reset(c.every(blind))
		if err := c.Scan(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("cannot scan the folder of workers", "dir", c.cfg.Dir, "err", err)
		}
		if c.unsettled() {
			quiet.Reset(time.Second)
		}
	}
}

// every is the time between two scans.
func (c *Catalog) every(blind bool) time.Duration {
	if blind {
		return min(c.cfg.Rescan, rescanUnwatched)
	}
	return c.cfg.Rescan
}

func (c *Catalog) unsettled() bool {
	c.scanning.Lock()
	defer c.scanning.Unlock()
	for _, d := range c.known {
		if d.retry {
			return true
		}
	}
	return false
}

// addFolders watches the folder and two levels below it; what is watched already stays so. Each folder is watched before
// it is listed, so that nothing can come into it unseen. Its error is the first folder that cannot be watched.
func (c *Catalog) addFolders(w *fsnotify.Watcher) error {
	if err := os.MkdirAll(c.cfg.Dir, 0o755); err != nil {
		return nil // the scan says so
	}
	return addFolder(w, c.cfg.Dir, 2)
}

func addFolder(w *fsnotify.Watcher, dir string, below int) error {
	if err := w.Add(dir); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("%s: %w", dir, err)
	}
	if below == 0 {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // the scan says so
	}
	var first error
	for _, e := range entries {
		if sub := filepath.Join(dir, e.Name()); isDir(sub) && !strings.HasPrefix(e.Name(), ".") {
			if err := addFolder(w, sub, below-1); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}
