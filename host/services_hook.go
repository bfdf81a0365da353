package host

import "context"

// servicesHook offers the host's services to the instance, and takes the right to write away when the attempt is over.
type servicesHook struct{}

func (servicesHook) before(_ context.Context, a *attempt) error {
	a.services = &hostServices{
		task: a.task.ID, node: a.deps.nodeID, attempt: a.number, epoch: a.epoch.Load,
		cache: a.deps.cache, checkpoints: a.deps.checkpoints, secrets: a.deps.secrets, outcome: a.deps.reporter.outcome,
	}
	return nil
}

func (servicesHook) after(a *attempt) { a.services.revoke() }
