package plugins

import (
	"context"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/cgroup"
	"github.com/skalds-go/skalds/plugins/procstats"
	"github.com/skalds-go/skalds/plugins/shim"
)

// Instance is one process of a plugin, with everything that it starts. It is safe for concurrent use.
type Instance struct {
	l        *Launcher
	spec     LaunchSpec
	confined *confinement
	dir      string
	launchID string
	token    string
	env      []string
	out      *output
	services *grpc.Server
	client   *plugin.Client
	early    [2]lineWriter // standard output and error by way of go-plugin, which has both until the worker's first call
	done     chan struct{}

	group *cgroup.Group // nil: none; made before the fork

	idle bool          // has no task yet; belongs to the pool until it has
	late *lateServices // of an idle one

	timeout  time.Duration // of the launch, to which belongs what follows
	era      int64         // in which it was asked for, see spawner.era; belongs to the launch, as does what follows
	unusable bool          // no process can be made of the file

	startedAt time.Time

	mu     sync.Mutex      // guards what follows
	proc   *process        // nil before the fork; never changed after it
	worker protocol.Worker // nil before the handshake
	conn   io.Closer       // what worker speaks over; nil before the handshake
	kill   *KillReason
	status Status
	usage  skalds.Usage
	peak   skalds.Usage
	frozen bool
	left   bool // killed after its last word
	over   bool // reaped: what is asked for now is not why it ended

	recent usageRing

	freezing  sync.Mutex         // held while the tree is frozen or thawed
	unfreeze  context.CancelFunc // calls off a freeze under way; guarded by mu, as is what follows
	nevermore bool               // it is stopped, and not frozen any more

	sampling sync.Mutex // guards what follows
	meter    *procstats.Meter
	groupCPU time.Duration // what the group had used
	groupAt  time.Time     // then

	duty *dutyCycle // nil: its CPU limit is held otherwise, or not at all; made at the fork

	near   bool // to a limit; belongs to the watchdog
	relief relief
}

// process is nil before the fork.
func (i *Instance) process() *process {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.proc
}

// PID is the process's id.
func (i *Instance) PID() int { return i.proc.id.PID }

// TaskID is the task that it was started for.
func (i *Instance) TaskID() string { return i.spec.TaskID }

// Renumber says that it runs under another epoch from now on.
func (i *Instance) Renumber(epoch int64) {
	i.proc.child.Mark(shim.Mark{TaskID: i.spec.TaskID, Epoch: epoch, Keep: i.spec.Keep})
}

// Plugin is what it was started from.
func (i *Instance) Plugin() *Plugin { return i.spec.Plugin }

// StartedAt is when it was forked.
func (i *Instance) StartedAt() time.Time { return i.startedAt }

// Worker speaks with it. Calls to a process that has ended fail at once; give every call a deadline.
func (i *Instance) Worker() protocol.Worker {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.worker
}

func (i *Instance) setWorker(w protocol.Worker, conn io.Closer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.worker, i.conn = w, conn
}

// hangUp closes the connection to a process that ends: it would be dialled again and again.
func (i *Instance) hangUp() {
	i.mu.Lock()
	conn := i.conn
	i.mu.Unlock()
	if conn != nil {
		_ = conn.Close() // more than once says that it is closed
	}
}

// Done is closed when the process has ended, its tree was killed and its output was read.
func (i *Instance) Done() <-chan struct{} { return i.done }

// Status is how it ended; valid after Done.
func (i *Instance) Status() Status {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.status
}

// Usage is what the tree used in the last round.
func (i *Instance) Usage() skalds.Usage {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.usage
}

// Peak is the highest usage seen. What a process used that lived between two rounds only is what the kernel counted for it.
func (i *Instance) Peak() skalds.Usage {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.peak
}

// UsageCurve is what the tree used of late, oldest first: at most 60 measurements, the newest as close together as the
// watchdog looked, older ones a second apart.
func (i *Instance) UsageCurve() []skalds.UsageSample { return i.recent.curve() }

// look measures memory at once, so that there is a figure before the first round.
func (i *Instance) look() {
	i.sampling.Lock()
	charged := i.meter.Charged()
	i.sampling.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.peak.MemoryBytes = max(i.peak.MemoryBytes, charged)
}

// StderrTail is the last output, at most 64 KiB.
func (i *Instance) StderrTail() string { return i.out.Tail() }

// exited is called by the runner as soon as the process has been reaped.
func (i *Instance) exited(x shim.Exit) {
	switch x.Why {
	case shim.WhyLease:
		i.setReason(skalds.ExitLeaseLost, "the lease of this node was over while its host stood still")
	case shim.WhySilence:
		i.setReason(skalds.ExitLeaseLost, "its host stood still, so that the shim of this node killed all workers: others may run their tasks")
	case shim.WhyShim:
		i.setReason(skalds.ExitHostRestart, "the shim of this node has died, and the workers with it")
	}
	st := statusOf(x)
	i.mu.Lock()
	i.over = true
	ours := i.left || i.kill != nil
	i.mu.Unlock()
	i.judgeByGroup(&st, ours)
	i.mu.Lock()
	st.Kill = i.kill
	i.status = st
	if st.OOMKills > 0 {
		i.peak.MemoryBytes = max(i.peak.MemoryBytes, st.Peak)
		i.recent.watch(st.EndedAt, st.Peak)
	}
	if time.Since(i.startedAt) < 2*i.l.cfg.SampleEvery {
		i.peak.MemoryBytes = max(i.peak.MemoryBytes, leastOf(x.MaxRSS, st.held))
	}
	i.mu.Unlock()
	i.killRest()
}

// leastOf is the smaller of two figures of which neither is too low: resident memory has pages that others have, too, and a
// control group those of files. Zero: not known.
func leastOf(resident, held int64) int64 {
	if held == 0 || resident == 0 {
		return max(resident, held)
	}
	return min(resident, held)
}

// awaitEnd closes Done when everything of the instance is gone.
func (i *Instance) awaitEnd() {
	<-i.proc.done
	i.finish()
}

// finish releases what the instance held.
func (i *Instance) finish() {
	if i.services != nil {
		i.services.Stop()
	}
	if i.client != nil {
		i.client.Kill() // the process is gone: closes the connection and removes the socket's folder
	}
	for n := range i.early {
		i.early[n].flush()
	}
	i.out.tellDropped()
	_ = os.RemoveAll(i.dir)
	if i.meter != nil { // it was forked
		i.sampling.Lock()
		i.meter.Close()
		i.sampling.Unlock()
	}
	if i.group != nil {
		i.l.removals.Go(i.removeGroup)
	}
	i.l.mu.Lock()
	delete(i.l.instances, i.launchID)
	if i.idle {
		delete(i.l.launching, i.launchID)
	}
	i.l.mu.Unlock()
	close(i.done)
}

// Stop is the whole ladder: the Stop RPC and grace for the hooks, then a thaw and SIGTERM to the tree, then SIGKILL. It
// returns when the process is reaped, at most grace + 1 s later; reason is the ExitKind that the worker is told.
func (i *Instance) Stop(ctx context.Context, reason string, grace time.Duration) error {
	i.setReason(skalds.ExitKind(reason), "stopped by its host")
	timer := time.NewTimer(grace)
	defer timer.Stop()
	i.thawForGood(ctx)
	i.duty.end()
	asked := make(chan struct{})
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	go func() {
		defer close(asked)
		_ = i.Worker().Stop(rctx, reason, grace) // who does not hear it is killed
	}()
	select {
	case <-i.done:
	case <-timer.C:
		i.terminate()
	case <-ctx.Done():
		i.terminate()
	}
	cancel()
	<-asked
	<-i.done
	return nil
}

// terminate is the lower half of the ladder.
func (i *Instance) terminate() {
	i.signalTree(syscall.SIGCONT)
	i.signalTree(syscall.SIGTERM)
	select {
	case <-i.done:
	case <-time.After(500 * time.Millisecond):
		i.signalTree(syscall.SIGKILL)
	}
}

// Kill kills the tree at once. The first reason given holds, if it is given before the process has ended.
func (i *Instance) Kill(reason skalds.ExitKind, message string) {
	i.setReason(reason, message)
	i.recent.close()
	i.signalTree(syscall.SIGKILL)
}

// killOver is Kill for a tree that is over one of its limits.
func (i *Instance) killOver(limit, message string) {
	i.giveReason(KillReason{Kind: skalds.ExitLimit, Limit: limit, Message: message})
	i.signalTree(syscall.SIGKILL)
}

// stackWithin is how long a process is given to write its stacks.
const stackWithin = time.Second

// KillWithStack is Kill for a worker that stands still: one written in Go says first where it stands, which is the Stack of
// its report. It does not block.
func (i *Instance) KillWithStack(reason skalds.ExitKind, message string) {
	i.setReason(reason, message)
	if p := i.process(); p != nil {
		i.duty.end()
		p.signal(syscall.SIGQUIT)
	}
	time.AfterFunc(stackWithin, func() { i.signalTree(syscall.SIGKILL) })
}

// Leave ends an instance whose task has said its last word: nothing of it is worth waiting for.
func (i *Instance) Leave() {
	i.mu.Lock()
	i.left = true
	i.mu.Unlock()
	i.hangUp()
	i.signalTree(syscall.SIGKILL)
}

func (i *Instance) setReason(kind skalds.ExitKind, message string) {
	i.giveReason(KillReason{Kind: kind, Message: message})
}

// giveReason says why the instance is ended, unless something else has ended it already.
func (i *Instance) giveReason(r KillReason) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kill == nil && !i.over {
		i.kill = &r
	}
}

func (i *Instance) reason() *KillReason {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.kill
}
