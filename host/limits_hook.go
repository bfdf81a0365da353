package host

import (
	"context"

	"github.com/skalds-go/skalds"
)

// limitsHook settles what is enforced: what the task says, else what its class declares, else nothing; field by field.
type limitsHook struct{}

func (limitsHook) before(_ context.Context, a *attempt) error {
	a.limits = effectiveLimits(a.task.Limits, a.class.Limits)
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
	return task
}
