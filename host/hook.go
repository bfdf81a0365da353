package host

import "context"

// hook is one step of an attempt. before runs in the order of attemptHooks on the attempt's goroutine; the first error
// ends the attempt. after runs in reverse order for every hook whose before was called, whatever it returned.
type hook interface {
	before(ctx context.Context, a *attempt) error
	after(a *attempt)
}

// attemptHooks is the life of an attempt. The last hook lasts as long as the task runs.
func attemptHooks() []hook {
	return []hook{
		resolveHook{},     // which plugin, which version
		attachmentsHook{}, // against the schema of the class; secrets filled in
		limitsHook{},      // of the task, else of its class
		isolationHook{},   // whether this machine can keep it from what it shall be kept from
		dataDirHook{},     // where it writes; its last checkpoint
		servicesHook{},    // what it may ask of the host, until it ends
		launchHook{},      // the process
		runHook{},         // the task itself
	}
}

// refusal is a reason for not starting at all. It costs no attempt of the task's budget.
type refusal struct {
	reason    string
	permanent bool // no other node would do better
	passing   bool // this node may do better in a moment
	fields    []string
}

func (r *refusal) Error() string { return r.reason }

// makeRoom is what to do where a disk takes nothing more, added to a refusal.
const makeRoom = ": free some space on this node, or give it another data folder"
