//go:build !linux

package plugins

import (
	"errors"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/shim"
)

func probeIsolation() skalds.NodeAbilities {
	all := skalds.NodeAbilities{}
	for _, a := range skalds.Abilities() {
		all[a] = "only Linux can"
	}
	return all
}

// confinement is what a launch does about the isolation of its task: nothing on this system.
type confinement struct{}

func (l *Launcher) confine(spec LaunchSpec) (*confinement, error) {
	if spec.Isolation.IsZero() {
		return nil, nil
	}
	return nil, &IsolationError{"isolation", errors.New("only Linux can isolate a task")}
}

func (*confinement) takeOver(string) error      { return nil }
func (*confinement) give(...string) error       { return nil }
func (*confinement) reach(string) error         { return nil }
func (*confinement) env(string) []string        { return nil }
func (*confinement) apply(*shim.Spec, string)   {}
func (*confinement) fault(Status, string) error { return nil }

// lets has nothing to do: there are no control groups.
func (c *confinement) lets(string) bool { return true }
