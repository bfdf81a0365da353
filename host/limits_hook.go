package host

import (
	"context"

	"github.com/skalds-go/skalds"
)

// limitsHook settles what is enforced: what the task says, else what its class declares, else nothing; field by field. The
// memory limit is the one that ends for memory have raised it to, where it is limited at all.
type limitsHook struct{}

func (limitsHook) before(_ context.Context, a *attempt) error {
	a.limits = effectiveLimits(a.task.Limits, a.class.Limits)
	a.firstMemory = a.limits.MemoryBytes
	if a.firstMemory > 0 {
		a.limits.MemoryBytes = max(a.firstMemory, a.raisedMemory)
	}
	return nil
}

func (limitsHook) after(*attempt) {}

func effectiveLimits(task, class skalds.Limits) skalds.Limits {
	if task.CPUCores == 0 {
		task.CPUCores = class.CPUCores
	}
	if task.MemoryBytes == 0 {
		task.MemoryBytes = class.MemoryBytes
	}
	if task.PIDs == 0 {
		task.PIDs = class.PIDs
	}
	if task.IOWeight == 0 {
		task.IOWeight = class.IOWeight
	}
	return task
}
