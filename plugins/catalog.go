package plugins

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// CatalogConfig says where worker executables lie.
type CatalogConfig struct {
	Dir             string        // holds <name>/<version>/<name>; created when missing
	DescribeTimeout time.Duration // for one `describe`; default 10 s
	LaunchID        string        // Launcher.DescribeID, so that the next host's Sweep ends a `describe` that outlives this one
	Rescan          time.Duration // in case the system's watch misses something; default 30 s
}

// Catalog knows the worker executables of this machine. It is safe for concurrent use.
type Catalog struct {
	cfg CatalogConfig
	log hclog.Logger

	scanning sync.Mutex // one scan at a time; guards known and bare
	known    map[string]described
	bare     bool // the last scan found nothing, and it was said

	mu       sync.RWMutex // guards what follows
	plugins  []*Plugin
	problems []Problem
	subs     map[int]func()
	nextSub  int
}

// described is what was learned of a file while it had that identity.
type described struct {
	id     fileIdentity
	plugin *Plugin
	reason string // why it cannot be used
	retry  bool   // the reason may pass by itself
}

// NewCatalog makes an empty catalog: call Scan, or Run to keep it up to date.
func NewCatalog(cfg CatalogConfig, log hclog.Logger) *Catalog {
	cfg.DescribeTimeout = cmp.Or(cfg.DescribeTimeout, 10*time.Second)
	cfg.Rescan = cmp.Or(cfg.Rescan, 30*time.Second)
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Catalog{cfg: cfg, log: log.Named("catalog"), known: map[string]described{}, subs: map[int]func(){}}
}

// Dir is the folder of the executables.
func (c *Catalog) Dir() string { return c.cfg.Dir }

// Workers lists what may be started, by name and version.
func (c *Catalog) Workers() []skalds.WorkerInfo {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]skalds.WorkerInfo, 0, len(c.plugins))
	for _, p := range c.plugins {
		out = append(out, p.Info)
	}
	return out
}

// Problems lists what cannot be started.
func (c *Catalog) Problems() []Problem {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.problems)
}

// Lookup finds "name@version".
func (c *Catalog) Lookup(ref string) (*Plugin, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, p := range c.plugins {
		if p.Info.Ref() == ref {
			return p, true
		}
	}
	return nil, false
}

// Resolve finds the plugin that runs a class: the highest version that satisfies the constraint ("1.2.0", "^1.2", ">=1 <2";
// empty: any), prereleases only where the constraint names one. Its error says what there is instead.
func (c *Catalog) Resolve(className, constraint string) (*Plugin, error) {
	var check *semver.Constraints
	if constraint != "" {
		var err error
		if check, err = semver.NewConstraint(constraint); err != nil {
			return nil, skalds.Errorf(skalds.CodeInvalid, "version %q is no version constraint such as 1.2.0 or ^1.2: %v", constraint, err)
		}
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	var best *Plugin
	var bestVersion *semver.Version
	var offered []string
	classes := map[string]bool{}
	for _, p := range c.plugins {
		for _, ci := range p.Info.Classes {
			classes[ci.ClassName] = true
		}
		if p.Info.Class(className) == nil {
			continue
		}
		v, err := semver.NewVersion(p.Info.Version)
		if err != nil {
			continue
		}
		offered = append(offered, p.Info.Ref())
		if check != nil && !check.Check(v) || check == nil && v.Prerelease() != "" {
			continue
		}
		if best == nil || v.GreaterThan(bestVersion) {
			best, bestVersion = p, v
		}
	}
	switch {
	case best != nil:
		return best, nil
	case len(offered) > 0 && check == nil:
		return nil, skalds.Errorf(skalds.CodeNotFound, "class %s is offered here by %s, which is not released yet: name the version to use it", className, strings.Join(offered, ", "))
	case len(offered) > 0:
		return nil, skalds.Errorf(skalds.CodeNotFound, "class %s is offered here by %s, none of which satisfies version %q", className, strings.Join(offered, ", "), constraint)
	}
	names := make([]string, 0, len(classes))
	for n := range classes {
		names = append(names, n)
	}
	sort.Strings(names)
	if len(names) == 0 {
		names = []string{"none"}
	}
	return nil, skalds.Errorf(skalds.CodeNotFound, "no worker offers the class %s (known classes: %s); copy one to %s/<name>/<version>/<name>", className, strings.Join(names, ", "), c.cfg.Dir)
}

// Subscribe has fn called after every change of Workers, from the goroutine of the scan: it must not block.
func (c *Catalog) Subscribe(fn func()) (cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.nextSub
	c.nextSub++
	c.subs[id] = fn
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subs, id)
	}
}

func samePlugin(a, b *Plugin) bool {
	return a.Path == b.Path && a.Info.Ref() == b.Info.Ref() && a.Info.Digest == b.Info.Digest && a.Info.Conflict == b.Info.Conflict
}

// publish exchanges the contents and tells subscribers if anything has changed.
func (c *Catalog) publish(plugins []*Plugin, problems []Problem) {
	c.mu.Lock()
	changed := !slices.EqualFunc(plugins, c.plugins, samePlugin)
	for _, p := range problems {
		if !slices.Contains(c.problems, p) {
			c.log.Warn("cannot use worker", "path", p.Path, "reason", p.Reason)
		}
	}
	for _, p := range plugins {
		if !slices.ContainsFunc(c.plugins, func(q *Plugin) bool { return samePlugin(p, q) }) {
			c.log.Info("found worker", "worker", p.Info.Ref(), "path", p.Path)
		}
	}
	c.plugins, c.problems = plugins, problems
	var subs []func()
	if changed {
		for _, fn := range c.subs {
			subs = append(subs, fn)
		}
	}
	c.mu.Unlock()
	for _, fn := range subs {
		fn()
	}
}

// Run scans now and whenever the folder changes, until ctx ends. A system that cannot watch it is no error.
func (c *Catalog) Run(ctx context.Context) error {
	if err := c.watch(ctx); err != nil {
		return fmt.Errorf("watch %s: %w", c.cfg.Dir, err)
	}
	return nil
}
