package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// Bounds are what is granted to a cluster.
type Bounds struct {
	// Linger is how long a process may live after the end of its task was seen.
	Linger time.Duration
}

// Violation is a promise that was broken.
type Violation struct {
	Rule   string
	Task   string
	Text   string
	Events []Event // that show it
}

func (v Violation) String() string { return fmt.Sprintf("%s: task %s: %s", v.Rule, v.Task, v.Text) }

// Count says how often a promise could have been broken, and how often it was.
type Count struct {
	Rule    string
	Checked int // tasks, documents, attempts or processes that the rule has looked at: where it is 0, nothing was shown
	Broken  int
}

// Check returns all violations that events show, sorted by task, and a count for each rule. The order of the events does not matter.
func Check(events []Event, b Bounds) ([]Violation, []Count) {
	tasks := map[string]*task{}
	var settled int64
	for _, e := range events {
		if e.Kind == Settled {
			settled = e.At
		}
		if e.Task == "" {
			continue
		}
		t := tasks[e.Task]
		if t == nil {
			t = &task{id: e.Task, bounds: b, kinds: map[Kind][]Event{}}
			tasks[e.Task] = t
		}
		t.kinds[e.Kind] = append(t.kinds[e.Kind], e)
	}
	var out []Violation
	counts := make([]Count, len(rules))
	for _, id := range slices.Sorted(maps.Keys(tasks)) {
		t := tasks[id]
		t.settled = settled
		t.sort()
		for i, r := range rules {
			found := r.find(t)
			for _, v := range found {
				v.Rule, v.Task = r.name, id
				out = append(out, v)
			}
			counts[i].Rule = r.name
			counts[i].Checked += r.among(t)
			counts[i].Broken += len(found)
		}
	}
	return out, counts
}

// task is what was seen of one.
type task struct {
	id      string
	bounds  Bounds
	settled int64 // ns; 0: never
	kinds   map[Kind][]Event
	runs    []process
}

// process is one instance as it has told of itself.
type process struct {
	epoch       int64
	attempt     int
	pid         int
	first, last Event
}

func (t *task) sort() {
	for _, events := range t.kinds {
		slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	}
	slices.SortStableFunc(t.kinds[Stored], func(a, b Event) int { return cmp.Compare(a.Revision, b.Revision) })
	at := map[process]int{}
	said := slices.Concat(t.kinds[Began], t.kinds[Beat], t.kinds[Finished])
	slices.SortStableFunc(said, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	for _, e := range said {
		key := process{epoch: e.Epoch, attempt: e.Attempt, pid: e.PID}
		i, ok := at[key]
		if !ok {
			i = len(t.runs)
			at[key] = i
			p := key
			p.first = e
			t.runs = append(t.runs, p)
		}
		t.runs[i].last = e
	}
}

// asked reports whether a user has asked for it between two times, in ns.
func (t *task) asked(verb string, after, before int64) bool {
	return slices.ContainsFunc(t.kinds[Asked], func(e Event) bool { return e.Verb == verb && after <= e.At && e.At <= before })
}

// retried reports whether a user has asked for another run after what was seen, and before a time.
func (t *task) retried(since Event, before int64) bool {
	return t.asked(Retry, since.EndedAt*int64(time.Millisecond), before)
}

// ends are the final documents, by revision.
func (t *task) ends() (out []Event) {
	for _, e := range t.kinds[Stored] {
		if e.State.Final() {
			out = append(out, e)
		}
	}
	return out
}

// ended reports whether it was seen to have ended in a state.
func (t *task) ended(state skalds.State) bool {
	return slices.ContainsFunc(t.kinds[Stored], func(e Event) bool { return e.State == state })
}

// neighbours counts documents and the next ones by revision that are so.
func (t *task) neighbours(so func(a, b Event) bool) (n int) {
	docs := t.kinds[Stored]
	for i := 1; i < len(docs); i++ {
		n += one(so(docs[i-1], docs[i]))
	}
	return n
}

func when(ns int64) string { return time.Unix(0, ns).UTC().Format("15:04:05.000000") }
