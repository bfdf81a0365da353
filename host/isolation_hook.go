package host

import (
	"context"

	"github.com/skalds-go/skalds/plugins"
)

// isolationHook refuses a task that this machine cannot isolate as it asks. It never runs with less.
type isolationHook struct{}

func (isolationHook) before(_ context.Context, a *attempt) error {
	if lacking := a.deps.isolation.Lacks(a.task.Isolation.Needs()); lacking != "" {
		return &refusal{reason: a.notIsolated("isolation", "this node "+lacking)}
	}
	if name := a.task.Isolation.User; name != "" {
		if _, err := plugins.LookUpAccount(name); err != nil {
			return &refusal{reason: a.notIsolated("isolation.user", err.Error())}
		}
	}
	return nil
}

func (isolationHook) after(*attempt) {}

// notIsolated says in which line of a file the isolation is asked for, where the task stands in one.
func (a *attempt) notIsolated(field, reason string) string {
	if a.deps.entry != nil {
		if e, ok := a.deps.entry(a.task.ID); ok && !e.Spec.Isolation.IsZero() {
			return e.Fault(field, reason).Error()
		}
	}
	return reason
}
