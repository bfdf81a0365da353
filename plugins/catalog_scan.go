package plugins

import (
	"context"
	"errors"
	"fmt"
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

// Scan looks through the folder once. Executables that have not changed are not asked again. A broken executable is a
// Problem, no error.
func (c *Catalog) Scan(ctx context.Context) error {
	c.scanning.Lock()
	defer c.scanning.Unlock()
	dir, err := filepath.Abs(c.cfg.Dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of workers: %w", err)
	}
	files, problems, err := executables(dir)
	if err != nil {
		return err
	}
	var mu sync.Mutex // guards next
	next := make(map[string]described, len(files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.NumCPU())
	for _, path := range files {
		g.Go(func() error {
			d := c.learn(gctx, path)
			mu.Lock()
			next[path] = d
			mu.Unlock()
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.known = next
	plugins, conflicts := arrange(next)
	problems = append(problems, conflicts...)
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	c.publish(plugins, problems)
	return nil
}

// executables lists <dir>/<name>/<version>/<name>, and what has the form but lacks the file.
func executables(dir string) (files []string, problems []Problem, err error) {
	versions, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*", "*"))
	if err != nil {
		return nil, nil, err
	}
	for _, v := range versions {
		if info, err := os.Stat(v); err != nil || !info.IsDir() || strings.HasPrefix(filepath.Base(v), ".") {
			continue
		}
		name := filepath.Base(filepath.Dir(v))
		path := filepath.Join(v, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			problems = append(problems, Problem{v, fmt.Sprintf("holds no file %s: the executable must have the name of the worker", name)})
		case err != nil:
			problems = append(problems, Problem{path, err.Error()})
		case !info.Mode().IsRegular():
			problems = append(problems, Problem{path, "is no regular file"})
		default:
			files = append(files, path)
		}
	}
	return files, problems, nil
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// learn describes one file, unless it is the one that was described before.
func (c *Catalog) learn(ctx context.Context, path string) described {
	info, err := os.Stat(path)
	if err != nil {
		return described{reason: err.Error(), retry: true}
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
	desc, err := describe(ctx, path, c.cfg.DescribeTimeout)
	if err != nil {
		d.reason = err.Error()
		d.retry = ctx.Err() != nil || isBusy(err) || time.Since(info.ModTime()) < 10*time.Second
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
	if again, err := os.Stat(path); err != nil || identify(again) != id {
		d.reason, d.retry = "changed while it was read: waiting until it is complete", true
		return d
	}
	d.plugin = &Plugin{Info: infoOf(desc, digest), Path: path}
	return d
}

// arrange sorts by name and version and leaves each class with the first plugin (by name) that offers it; another
// plugin's offer of it is a conflict.
func arrange(known map[string]described) (plugins []*Plugin, problems []Problem) {
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
	owner := map[string]string{}
	for i, p := range plugins {
		var lost []string
		info := p.Info
		info.Classes = nil
		for _, ci := range p.Info.Classes {
			if first, ok := owner[ci.ClassName]; ok && first != p.Info.Name {
				lost = append(lost, fmt.Sprintf("%s (offered by %s already)", ci.ClassName, first))
				continue
			}
			owner[ci.ClassName] = p.Info.Name
			info.Classes = append(info.Classes, ci)
		}
		if len(lost) == 0 {
			continue
		}
		info.Conflict = "not used for " + strings.Join(lost, ", ")
		problems = append(problems, Problem{p.Path, info.Conflict + ": rename the class or remove one of the workers"})
		plugins[i] = &Plugin{Info: info, Path: p.Path}
	}
	return plugins, problems
}

// watch scans after changes. Folders are watched, not files: a copy ends with a rename or a write into one of them.
func (c *Catalog) watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	c.addFolders(w)
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	rescan := time.NewTicker(c.cfg.Rescan)
	defer rescan.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.Events:
			if !ok {
				return errors.New("the watch has ended")
			}
			quiet.Reset(debounce)
			continue
		case err := <-w.Errors:
			c.log.Warn("watching the folder of workers", "err", err)
			quiet.Reset(debounce)
			continue
		case <-quiet.C:
		case <-rescan.C:
		}
		c.addFolders(w)
		if err := c.Scan(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("cannot scan the folder of workers", "dir", c.cfg.Dir, "err", err)
		}
		if c.unsettled() {
			quiet.Reset(time.Second)
		}
	}
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

// addFolders watches the folder and two levels below it; what is watched already stays so.
func (c *Catalog) addFolders(w *fsnotify.Watcher) {
	dirs := []string{c.cfg.Dir}
	for _, pattern := range []string{"*", filepath.Join("*", "*")} {
		found, err := filepath.Glob(filepath.Join(escapeGlob(c.cfg.Dir), pattern))
		if err == nil {
			dirs = append(dirs, found...)
		}
	}
	for _, d := range dirs {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			if err := w.Add(d); err != nil {
				c.log.Warn("cannot watch", "dir", d, "err", err)
			}
		}
	}
}
