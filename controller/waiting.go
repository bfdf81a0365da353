package controller

import (
	"container/heap"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// waiting is the queue of tasks without a node, in memory: the store has the truth. Tasks that every node answers alike
// share a line, so that a thousand that fit nowhere cost one question, and hold up nobody else.
type waiting struct {
	mu    sync.Mutex // guards all below
	lines map[string]*line
	where map[string]*entry // by task id
	kept  map[string]string // by task id: the node on which room is kept for it
}

// line is the queue of tasks of one shape, the most urgent first.
type line struct {
	shape   string
	request dispatch.Request // TaskID is that of whoever asks
	entries []*entry
	blocked bool // no node can take it, until something changes
	answer  answer
}

// answer is why a task waits, and when that was asked.
type answer struct {
	why string
	at  time.Time
}

type entry struct {
	taskID   string
	priority int
	queuedAt int64
	notNow   int64         // ms: the time before which the avoided nodes are not asked
	queue    time.Duration // time-out; 0: none
	line     *line
	index    int
	said     map[string]string // by node: why it was refused there, which is no matter of its line
	answer   answer            // where something was said
}

func newWaiting() *waiting {
	return &waiting{lines: map[string]*line{}, where: map[string]*entry{}, kept: map[string]string{}}
}

// promise notes that room is kept for a task on a node, so that it stands in no line with others; empty: no more.
func (w *waiting) promise(taskID, node string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kept[taskID] = node; node == "" {
		delete(w.kept, taskID)
	}
}

// ageing is how much waiting outweighs one step of priority, so that urgent tasks that keep coming starve nobody.
const ageing = time.Minute

// turn is the time at which a task of priority 0 would have had to come to be placed next to this one. It does not change
// while the task waits, so that the order of a line stays what it is.
func (e *entry) turn() int64 { return e.queuedAt - int64(e.priority)*ageing.Milliseconds() }

// before is the order of placement: the more urgent and the one that has waited longer, weighed against each other.
func (e *entry) before(o *entry) bool {
	if a, b := e.turn(), o.turn(); a != b {
		return a < b
	}
	if e.priority != o.priority {
		return e.priority > o.priority
	}
	return e.taskID < o.taskID
}

// line is a heap.Interface.

func (l *line) Len() int           { return len(l.entries) }
func (l *line) Less(i, j int) bool { return l.entries[i].before(l.entries[j]) }
func (l *line) Swap(i, j int) {
	l.entries[i], l.entries[j] = l.entries[j], l.entries[i]
	l.entries[i].index, l.entries[j].index = i, j
}

func (l *line) Push(x any) {
	e := x.(*entry)
	e.index = len(l.entries)
	l.entries = append(l.entries, e)
}

func (l *line) Pop() any {
	e := l.entries[len(l.entries)-1]
	l.entries[len(l.entries)-1] = nil
	l.entries = l.entries[:len(l.entries)-1]
	return e
}

// add puts a task in its line, or moves it to another one.
func (w *waiting) add(t *skalds.Task, bound string, now int64) {
	r := requestOf(t, bound, now)
	e := &entry{taskID: t.ID, priority: t.Priority, queuedAt: t.QueuedAt, queue: t.Timeouts.Queue.D()}
	if r.AvoidWholly {
		e.notNow, e.said = t.NextAttemptAt, r.Said
	}
	r.Said = nil
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeLocked(t.ID)
	r.Promised = w.kept[t.ID]
	shape := r.Shape()
	l := w.lines[shape]
	if l == nil {
		r.TaskID = ""
		l = &line{shape: shape, request: r}
		w.lines[shape] = l
	}
	e.line = l
	heap.Push(l, e)
	w.where[t.ID] = e
}

// reset forgets everything: another controller has led since.
func (w *waiting) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines, w.where, w.kept = map[string]*line{}, map[string]*entry{}, map[string]string{}
}

func (w *waiting) remove(taskID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeLocked(taskID)
}

func (w *waiting) removeLocked(taskID string) {
	e := w.where[taskID]
	if e == nil {
		return
	}
	delete(w.where, taskID)
	heap.Remove(e.line, e.index)
	if len(e.line.entries) == 0 {
		delete(w.lines, e.line.shape)
	}
}

// next names the most urgent task of all lines that are not blocked.
func (w *waiting) next() (dispatch.Request, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var best *line
	for _, l := range w.lines {
		if !l.blocked && (best == nil || l.entries[0].before(best.entries[0])) {
			best = l
		}
	}
	if best == nil {
		return dispatch.Request{}, false
	}
	r := best.request
	r.TaskID = best.entries[0].taskID
	return r, true
}

// block closes the line of a task until something changes.
func (w *waiting) block(taskID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.where[taskID]; e != nil {
		e.line.blocked = true
	}
}

// unblock opens all lines: a node has more room, or there is a new one.
func (w *waiting) unblock() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		l.blocked = false
	}
}

// whyFor is how long an answer to "why" holds for all tasks of a line.
const whyFor = time.Second

// why says why a task waits; ask finds it out for its whole line, at most once a second. One that nodes have refused a moment
// ago has an answer of its own, since they gave it reasons.
func (w *waiting) why(taskID string, now time.Time, ask func(*dispatch.Request) string) string {
	w.mu.Lock()
	e := w.where[taskID]
	if e == nil {
		w.mu.Unlock()
		return ""
	}
	a := &e.line.answer
	if len(e.said) > 0 {
		a = &e.answer
	}
	if !a.at.IsZero() && now.Sub(a.at) < whyFor {
		defer w.mu.Unlock()
		return a.why
	}
	r := e.line.request
	r.Said = e.said
	w.mu.Unlock()
	why := ask(&r)
	w.mu.Lock()
	defer w.mu.Unlock()
	*a = answer{why, now}
	return why
}

// due lists the tasks whose queue time-out is over, and those whose avoided nodes may be asked again.
func (w *waiting) due(now int64) (timedOut, again []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		for _, e := range l.entries {
			if e.queue > 0 && now-e.queuedAt >= e.queue.Milliseconds() {
				timedOut = append(timedOut, e.taskID)
			} else if e.notNow > 0 && now >= e.notNow {
				again = append(again, e.taskID)
			}
		}
	}
	return timedOut, again
}

func (w *waiting) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.where)
}
