package plugins

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/cgroup"
)

// How control groups are used, beside the path of a parent group.
const (
	CgroupsAuto = "auto" // where there are some
	CgroupsOff  = "off"
)

// EnvCgroups switches the use of control groups where a LauncherConfig says nothing: CgroupsAuto, CgroupsOff, or the path of
// the version 2 group below which those of instances are made.
const EnvCgroups = "SKALDS_CGROUPS"

// groups makes the control groups of instances. tree is nil where there are none.
type groups struct {
	tree *cgroup.Tree
	has  cgroup.Controllers
}

// newGroups finds out what can be used. It may move this process into a group of its own below the one that it is in, so
// nothing must have been started before.
func newGroups(use, name string, log hclog.Logger) groups {
	use = cmp.Or(use, os.Getenv(EnvCgroups), CgroupsAuto)
	if use == CgroupsOff {
		log.Info("control groups are not used, as was asked for: the watchdog holds limits")
		return groups{}
	}
	cfg := cgroup.Config{Name: name}
	if use != CgroupsAuto {
		cfg.Parent = use
	}
	tree, err := cgroup.Detect(cfg)
	if err != nil {
		log.Info("no control groups: the watchdog holds limits", "reason", err)
		return groups{}
	}
	for _, r := range tree.Reasons() {
		log.Debug("a control group holds less than it could", "reason", r)
	}
	return groups{tree, tree.Controllers()}
}

// fresh makes the group of one instance; nil where there are none. all is for one whose limits come later.
func (g groups) fresh(name string, l skalds.Limits, all bool) (*cgroup.Group, error) {
	if g.tree == nil {
		return nil, nil
	}
	return g.tree.New(name, groupLimits(l, all))
}

func groupLimits(l skalds.Limits, all bool) cgroup.Limits {
	return cgroup.Limits{MemoryBytes: l.MemoryBytes, CPUCores: l.CPUCores, PIDs: int64(l.PIDs), IOWeight: int64(l.IOWeight), CountOOM: true, All: all}
}

// These say what the kernel itself does. Where it does, every instance has a group: it is made before the fork.
func (g groups) holdsMemory() bool { return g.has.Memory != "" }
func (g groups) holdsCPU() bool    { return g.has.CPU != "" }
func (g groups) holdsPIDs() bool   { return g.has.PIDs != "" }
func (g groups) freezes() bool     { return g.has.Freeze != "" }

// sweep kills and removes what a dead host has left.
func (g groups) sweep(ctx context.Context, keep func(name string) bool) (killed int, err error) {
	if g.tree == nil {
		return 0, nil
	}
	return g.tree.Sweep(ctx, keep)
}

// close removes the folder of the groups.
func (g groups) close() error {
	if g.tree == nil {
		return nil
	}
	return g.tree.Remove()
}

// join is what the one that forks has to know of a group.
type join struct {
	dir         string   // of version 2
	enter, back []string // tasks files of version 1: of the group, and of the group that the forking thread is in
	all         []string // directories
}

func joinOf(g *cgroup.Group) (join, error) {
	if g == nil {
		return join{}, nil
	}
	j, err := g.Join()
	if err != nil {
		return join{}, err
	}
	out := join{dir: j.UnifiedDir, enter: j.Tasks, all: g.Dirs()}
	for _, path := range j.Tasks {
		out.back = append(out.back, j.Home(path))
	}
	return out, j.Close()
}

// killFile is what a worker writes to when its host has died; empty where there is none.
func (g groups) killFile(j join) string {
	if j.dir == "" || g.has.Kill == "" {
		return ""
	}
	return filepath.Join(j.dir, "cgroup.kill")
}

// errNoGroup says that no control group could be made for an instance, though there are some.
var errNoGroup = errors.New("make a control group")
