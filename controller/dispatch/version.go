package dispatch

import (
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/skalds-go/skalds"
)

// offer is a class in one version of one worker on a node.
type offer struct {
	ref     string // "name@version"
	version *semver.Version
	class   skalds.ClassInfo
}

// offers sorts what workers offer by class, the highest version first. Workers whose version is none are left out.
func offers(workers []skalds.WorkerInfo) map[string][]offer {
	out := map[string][]offer{}
	for i := range workers {
		w := &workers[i]
		v, err := semver.NewVersion(w.Version)
		if err != nil {
			continue
		}
		for _, c := range w.Classes {
			c.Schema = nil // of no use here
			out[c.ClassName] = append(out[c.ClassName], offer{w.Ref(), v, c})
		}
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b offer) int { return b.version.Compare(a.version) })
	}
	return out
}

// Versions is a condition on a worker's version. The zero value takes the highest version that is no prerelease.
type Versions struct {
	text  string
	check *semver.Constraints
}

// ParseVersions reads a condition: "1.2.0", "^1.2", ">=1 <2", or nothing.
func ParseVersions(s string) (Versions, error) {
	if s == "" {
		return Versions{}, nil
	}
	c, err := semver.NewConstraint(s)
	if err != nil {
		return Versions{}, fmt.Errorf("%q is no version constraint such as 1.2.0 or ^1.2: %w", s, err)
	}
	return Versions{s, c}, nil
}

func (v Versions) String() string { return v.text }

func (v Versions) allows(version *semver.Version) bool {
	if v.check == nil {
		return version.Prerelease() == ""
	}
	return v.check.Check(version)
}

// pick finds the highest version that is allowed; nil where there is none.
func (v Versions) pick(list []offer) *offer {
	for i := range list {
		if v.allows(list[i].version) {
			return &list[i]
		}
	}
	return nil
}

// Pick finds the worker that would run a class: the highest version that v allows. known lists what else offers the
// class.
func (v Versions) Pick(className string, workers []skalds.WorkerInfo) (worker *skalds.WorkerInfo, class *skalds.ClassInfo, known []string) {
	var best *semver.Version
	for i := range workers {
		w := &workers[i]
		c := w.Class(className)
		if c == nil {
			continue
		}
		version, err := semver.NewVersion(w.Version)
		if err != nil {
			continue
		}
		known = append(known, w.Ref())
		if v.allows(version) && (best == nil || version.GreaterThan(best)) {
			worker, class, best = w, c, version
		}
	}
	slices.Sort(known)
	return worker, class, slices.Compact(known)
}
