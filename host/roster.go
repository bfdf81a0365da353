package host

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// roster is every task that this host runs, and the goroutines that run them.
type roster struct {
	deps *runnerDeps
	log  hclog.Logger
	wg   sync.WaitGroup

	mu      sync.Mutex // guards all below
	ctx     context.Context
	runners map[string]*taskRunner
	next    map[string]assignment // to start when the former runner of the task has gone
	closed  bool                  // nothing is started any more
}

// assignment is a command and who gave it.
type assignment struct {
	cmd  skalds.Command
	from origin
}

func newRoster(log hclog.Logger) *roster {
	return &roster{log: log, runners: map[string]*taskRunner{}, next: map[string]assignment{}}
}

// assign puts a command in force: for the runner of the task, or by starting one. It is false where there is nothing to
// do: a task that is not here shall be gone.
func (r *roster) assign(cmd skalds.Command, from origin) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.runners[cmd.TaskID]; ok {
		if t.want(cmd) {
			return true
		}
		if cmd.Desired == skalds.DesiredGone {
			delete(r.next, cmd.TaskID)
			return false
		}
		r.next[cmd.TaskID] = assignment{cmd, from}
		return true
	}
	if cmd.Desired == skalds.DesiredGone || r.closed {
		return false
	}
	r.start(cmd, from)
	return true
}

// start starts a runner. The mutex is held.
func (r *roster) start(cmd skalds.Command, from origin) {
	t := newTaskRunner(cmd, from, r.deps, r.log)
	r.runners[cmd.TaskID] = t
	r.wg.Go(func() {
		t.run(r.ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.runners, cmd.TaskID)
		n, ok := r.next[cmd.TaskID]
		delete(r.next, cmd.TaskID)
		if late := t.unheard(); !ok && late != nil && late.Desired != skalds.DesiredGone {
			n, ok = assignment{*late, from}, true
		}
		if n.from == fromController && n.cmd.Epoch == t.cmd.Epoch {
			ok = false // it has ended here in this epoch: what was wished meanwhile is the controller's to hand out anew
		}
		if ok && !r.closed {
			r.start(n.cmd, n.from)
		}
	})
}

// runner finds a task's runner; nil where it does not run here.
func (r *roster) runner(taskID string) *taskRunner {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runners[taskID]
}

// active reports whether the task runs here, or is about to.
func (r *roster) active(taskID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.next[taskID]; ok {
		return true
	}
	t := r.runners[taskID]
	return t != nil && !t.isClosed()
}

// all lists the runners by task id.
func (r *roster) all() []*taskRunner {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*taskRunner, 0, len(r.runners))
	for _, t := range r.runners {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *taskRunner) int { return strings.Compare(a.taskID, b.taskID) })
	return out
}

// running counts the tasks of a class that have a process or are about to have one, but for one task.
func (r *roster) running(className, exceptTask string) int {
	n := 0
	for _, t := range r.all() {
		v := t.seen()
		if t.taskID != exceptTask && v.status.ClassName == className && v.attempt != nil {
			n++
		}
	}
	return n
}

// nudge lets every task look again that waits for a worker.
func (r *roster) nudge() {
	for _, t := range r.all() {
		t.nudge()
	}
}

// close makes every task leave, each for the reason that why names, and waits until their processes are dead.
func (r *roster) close(why func(t *taskRunner) departure) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, t := range r.all() {
		t.leave(why(t))
	}
	r.wg.Wait()
}
