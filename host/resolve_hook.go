package host

import (
	"context"
	"fmt"

	"github.com/skalds-go/skalds"
)

// resolveHook finds the plugin that offers the class in a version that fits.
type resolveHook struct{}

func (resolveHook) before(_ context.Context, a *attempt) error {
	p, err := a.deps.catalog.Resolve(a.task.ClassName, a.task.Version)
	if err != nil {
		return &refusal{reason: a.unresolved(err)}
	}
	class := p.Info.Class(a.task.ClassName)
	if class == nil {
		return &refusal{reason: fmt.Sprintf("worker %s does not offer the class %s", p.Info.Ref(), a.task.ClassName)}
	}
	if class.MaxPerNode > 0 {
		if n := a.deps.running(a.task.ClassName, a.task.ID); n >= class.MaxPerNode {
			return &refusal{reason: fmt.Sprintf("this node runs %d tasks of class %s already, as many as it may", n, class.ClassName)}
		}
	}
	a.plugin, a.class = p, class
	a.log = a.log.With("worker", p.Info.Ref())
	a.tell(attemptResolved{a})
	return nil
}

func (resolveHook) after(*attempt) {}

// unresolved says why there is no plugin for the task and, where the task stands in a file, in which line its class is named.
func (a *attempt) unresolved(err error) string {
	if a.deps.entry != nil {
		if e, ok := a.deps.entry(a.task.ID); ok && e.Spec.ClassName == a.task.ClassName {
			return e.Fault("className", err.Error()).Error()
		}
	}
	return err.Error()
}

// reserves is what a task counts for on this node: what it asks for, else what its class says.
func reserves(spec *skalds.Spec, class *skalds.ClassInfo) skalds.Resources {
	r := spec.Resources
	if class != nil {
		if r.CPUCores == 0 {
			r.CPUCores = class.Resources.CPUCores
		}
		if r.MemoryBytes == 0 {
			r.MemoryBytes = class.Resources.MemoryBytes
		}
	}
	return r
}
