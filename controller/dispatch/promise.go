package dispatch

import "time"

// promiseOf is the name under which room is kept; no task has it, since names of tasks have no control characters.
func promiseOf(taskID string) string { return "\x00" + taskID }

// Promise keeps room for a task on the node that would get it now, while it is still somewhere else. It is kept until Place is asked
// for the task, or Unpromise is called. It reports false where no node has room; a promise of before is replaced.
func (l *Ledger) Promise(r *Request, now time.Time) (Verdict, bool) {
	l.Unpromise(r.TaskID)
	v, found := l.choose(r, now)
	if found {
		l.hold(l.nodes[v.NodeID], promiseOf(r.TaskID), r.ClassName, v.Needs.Resources).promise = true
	}
	return v, found
}

// Unpromise gives back the room that is kept for a task, if it is.
func (l *Ledger) Unpromise(taskID string) { l.Release(promiseOf(taskID)) }

// Promised names the node on which room is kept for a task; empty: none.
func (l *Ledger) Promised(taskID string) string { return l.On(promiseOf(taskID)) }

// ForgetPromises gives back all room that is kept.
func (l *Ledger) ForgetPromises() {
	for id, h := range l.tasks {
		if h.promise {
			l.Release(id)
		}
	}
}
