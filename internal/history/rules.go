package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// rule finds what breaks one promise.
type rule struct {
	name  string
	find  func(*task) []Violation
	among func(*task) int // how many things of a task it looks at
}

var rules = []rule{
	{"an accepted task is lost", lost, func(t *task) int { return one(len(t.kinds[Accepted]) > 0) }},
	{"a task has not come to its end", unended, func(t *task) int {
		return one(t.settled != 0 && (len(t.kinds[Accepted]) > 0 || len(t.kinds[Stored]) > 0))
	}},
	{"a task has ended otherwise than it was to", otherwise, func(t *task) int {
		return one(len(t.ends()) > 0 && slices.ContainsFunc(t.kinds[Accepted], func(e Event) bool { return e.State != "" }))
	}},
	{"a task was cancelled by nobody", cancelledByNobody, func(t *task) int { return one(t.ended(skalds.Cancelled)) }},
	{"a revision has two contents", twoContents, func(t *task) int {
		return t.neighbours(func(a, b Event) bool { return a.Revision == b.Revision })
	}},
	{"an epoch or a run falls", falling, func(t *task) int {
		return t.neighbours(func(a, b Event) bool { return a.Revision < b.Revision })
	}},
	{"an epoch is on two nodes", twoNodes, func(t *task) int { return len(t.kinds[Began]) + len(t.kinds[Recorded]) }},
	{"two processes at once", overlap, func(t *task) int { return len(t.runs) }},
	{"a task runs again after its end", again, func(t *task) int { return one(len(t.ends()) > 0) }},
	{"a task has two ends", twoEnds, func(t *task) int { return one(len(t.ends()) > 0) }},
	{"an attempt has two ends", twoRecords, func(t *task) int { return len(t.kinds[Recorded]) }},
	{"an epoch was completed twice", completedTwice, func(t *task) int {
		return len(slices.DeleteFunc(slices.Clone(t.kinds[Recorded]), func(e Event) bool { return e.Exit != skalds.ExitCompleted }))
	}},
	{"a task has finished without having run", finishedUnseen, func(t *task) int { return one(t.ended(skalds.Finished)) }},
	{"a task has finished without a record", finishedUnrecorded, func(t *task) int {
		return one(t.ended(skalds.Finished) && len(t.kinds[Recorded]) > 0)
	}},
	{"a process is left behind", orphan, func(t *task) int { return len(t.kinds[Seen]) }},
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func lost(t *task) (out []Violation) {
	for _, a := range t.kinds[Accepted] {
		for _, m := range t.kinds[Missing] {
			if m.At > a.At {
				return []Violation{{Text: fmt.Sprintf("accepted at %s, unknown at %s", when(a.At), when(m.At)), Events: []Event{a, m}}}
			}
		}
	}
	return nil
}

// unended looks at what was accepted, and at what is there though nobody was told so.
func unended(t *task) []Violation {
	docs := t.kinds[Stored]
	if t.settled == 0 || len(docs) == 0 && len(t.kinds[Accepted]) == 0 {
		return nil
	}
	if len(docs) == 0 {
		return []Violation{{Text: "it was accepted and never seen", Events: t.kinds[Accepted]}}
	}
	if last := docs[len(docs)-1]; !last.State.Final() {
		return []Violation{{Text: fmt.Sprintf("everything works again and it is %s in epoch %d", last.State, last.Epoch), Events: []Event{last}}}
	}
	return nil
}

func otherwise(t *task) []Violation {
	for _, a := range t.kinds[Accepted] {
		for _, e := range t.ends() {
			if a.State != "" && e.State != a.State && e.State != skalds.Cancelled {
				return []Violation{{Text: fmt.Sprintf("%s, want %s", e.State, a.State), Events: []Event{a, e}}}
			}
		}
	}
	return nil
}

func cancelledByNobody(t *task) []Violation {
	for _, e := range t.ends() {
		if e.State == skalds.Cancelled && !t.asked(Cancel, 0, e.At) {
			return []Violation{{Text: "nobody has asked for it", Events: []Event{e}}}
		}
	}
	return nil
}

// twoContents is what two leaders at once would leave.
func twoContents(t *task) (out []Violation) {
	docs := t.kinds[Stored]
	for i := 1; i < len(docs); i++ {
		a, b := docs[i-1], docs[i]
		if a.Revision == b.Revision && (a.State != b.State || a.Epoch != b.Epoch || a.Node != b.Node || differ(a.Run, b.Run) || differ(a.EndedAt, b.EndedAt)) {
			out = append(out, Violation{Text: fmt.Sprintf("revision %d is %s in epoch %d on %q and %s in epoch %d on %q", a.Revision,
				a.State, a.Epoch, a.Node, b.State, b.Epoch, b.Node), Events: []Event{a, b}})
		}
	}
	return out
}

// differ reports whether two numbers are known and not the same.
func differ[N int | int64](a, b N) bool { return a != 0 && b != 0 && a != b }

func falling(t *task) (out []Violation) {
	docs := t.kinds[Stored]
	for i := 1; i < len(docs); i++ {
		if a, b := docs[i-1], docs[i]; a.Revision < b.Revision && (b.Epoch < a.Epoch || b.Run < a.Run && differ(a.Run, b.Run)) {
			out = append(out, Violation{Text: fmt.Sprintf("from epoch %d of run %d to epoch %d of run %d", a.Epoch, a.Run, b.Epoch, b.Run), Events: []Event{a, b}})
		}
	}
	return out
}

func twoNodes(t *task) (out []Violation) {
	first := map[int64]Event{}
	for _, kind := range []Kind{Stored, Recorded, Began} {
		for _, e := range t.kinds[kind] {
			if e.Node == "" || e.Kind == Stored && !e.State.OnNode() {
				continue
			}
			f, ok := first[e.Epoch]
			if !ok {
				first[e.Epoch] = e
			} else if f.Node != e.Node {
				out = append(out, Violation{Text: fmt.Sprintf("epoch %d is on %s and on %s", e.Epoch, f.Node, e.Node), Events: []Event{f, e}})
			}
		}
	}
	return out
}

func overlap(t *task) (out []Violation) {
	for i, a := range t.runs { // by their begins
		for _, b := range t.runs[i+1:] {
			if b.first.At >= a.last.At {
				continue
			}
			over := time.Duration(min(a.last.At, b.last.At) - b.first.At)
			out = append(out, Violation{Text: fmt.Sprintf("process %d of epoch %d still ran %v after process %d of epoch %d had begun", a.pid, a.epoch,
				over, b.pid, b.epoch), Events: []Event{a.first, b.first, a.last}})
		}
	}
	return out
}

// again looks at documents and at processes. A process may begin after its task was cancelled, since its node had not heard of that.
func again(t *task) (out []Violation) {
	docs := t.kinds[Stored]
	for i := 1; i < len(docs); i++ {
		a, b := docs[i-1], docs[i]
		if a.Revision == b.Revision {
			continue
		}
		left := a.State.Final() && !b.State.Final()
		if left && a.Run != 0 && a.Run == b.Run || (left || b.Run > a.Run && differ(a.Run, b.Run)) && !t.retried(a, b.At) {
			out = append(out, Violation{Text: fmt.Sprintf("it was %s in epoch %d and is %s in epoch %d, and nobody has asked for that", a.State, a.Epoch, b.State, b.Epoch), Events: []Event{a, b}})
		}
	}
	for _, end := range t.ends() {
		granted := int64(0)
		if end.State == skalds.Cancelled {
			granted = t.bounds.Linger.Nanoseconds()
		}
		for _, p := range t.runs {
			late := p.first.At > end.At+granted || p.epoch > end.Epoch
			if late && !t.retried(end, p.first.At) {
				out = append(out, Violation{Text: fmt.Sprintf("%s in epoch %d, seen at %s; process %d of epoch %d began at %s", end.State, end.Epoch,
					when(end.At), p.pid, p.epoch, when(p.first.At)), Events: []Event{end, p.first}})
			}
		}
	}
	return out
}

func twoEnds(t *task) (out []Violation) {
	ends := t.ends()
	for i := 1; i < len(ends); i++ {
		a, b := ends[i-1], ends[i]
		if sameRun := a.Run != 0 && a.Run == b.Run; !sameRun && t.retried(a, b.At) {
			continue
		}
		if a.State != b.State || a.Epoch != b.Epoch || differ(a.EndedAt, b.EndedAt) {
			out = append(out, Violation{Text: fmt.Sprintf("%s in epoch %d at %d and %s in epoch %d at %d", a.State, a.Epoch, a.EndedAt, b.State, b.Epoch, b.EndedAt), Events: []Event{a, b}})
		}
	}
	return out
}

// twoRecords looks at attempts that have been read more than once. One without an end may get one, and one that was recorded for a
// node that was lost is replaced when the node's own record comes.
func twoRecords(t *task) (out []Violation) {
	type key struct {
		epoch   int64
		attempt int
	}
	first := map[key]Event{}
	for _, e := range t.kinds[Recorded] {
		if e.Exit == "" || e.Exit == skalds.ExitNodeLost {
			continue
		}
		k := key{e.Epoch, e.Attempt}
		f, ok := first[k]
		if !ok {
			first[k] = e
		} else if f.Exit != e.Exit || f.PID != e.PID || f.Node != e.Node {
			out = append(out, Violation{Text: fmt.Sprintf("attempt %d.%d ended as %s and as %s", e.Epoch, e.Attempt, f.Exit, e.Exit), Events: []Event{f, e}})
		}
	}
	return out
}

// completedTwice looks within an epoch: another epoch may complete again what a lost node has done, of which one end is accepted.
func completedTwice(t *task) (out []Violation) {
	first := map[int64]Event{}
	for _, e := range t.kinds[Recorded] {
		if e.Exit != skalds.ExitCompleted {
			continue
		}
		f, ok := first[e.Epoch]
		if !ok {
			first[e.Epoch] = e
		} else if f.Attempt != e.Attempt {
			out = append(out, Violation{Text: fmt.Sprintf("attempts %d and %d of epoch %d have both completed", f.Attempt, e.Attempt, e.Epoch), Events: []Event{f, e}})
		}
	}
	return out
}

func finishedUnseen(t *task) []Violation {
	for _, end := range t.ends() {
		if end.State != skalds.Finished {
			continue
		}
		done := false
		for _, e := range t.kinds[Finished] {
			done = done || e.Epoch == end.Epoch
		}
		if !done {
			return []Violation{{Text: fmt.Sprintf("no process of epoch %d has said that it has done its work", end.Epoch), Events: []Event{end}}}
		}
	}
	return nil
}

// finishedUnrecorded looks where attempts were asked for after everything had come to its end.
func finishedUnrecorded(t *task) []Violation {
	records := t.kinds[Recorded]
	for _, end := range t.ends() {
		if end.State != skalds.Finished || len(records) == 0 || records[len(records)-1].At < t.settled {
			continue
		}
		kept := false
		for _, e := range records {
			kept = kept || e.Epoch == end.Epoch && e.Exit == skalds.ExitCompleted
		}
		if !kept {
			return []Violation{{Text: fmt.Sprintf("no attempt of epoch %d is recorded as completed", end.Epoch), Events: []Event{end}}}
		}
	}
	return nil
}

func orphan(t *task) (out []Violation) {
	for _, s := range t.kinds[Seen] {
		if t.settled != 0 && s.At > t.settled {
			out = append(out, Violation{Text: fmt.Sprintf("process %d of epoch %d lives after everything has come to its end", s.PID, s.Epoch), Events: []Event{s}})
			continue
		}
		for _, end := range t.ends() {
			if s.Epoch <= end.Epoch && s.At > end.At+t.bounds.Linger.Nanoseconds() {
				out = append(out, Violation{Text: fmt.Sprintf("process %d of epoch %d lives %v after the task was seen as %s", s.PID, s.Epoch,
					time.Duration(s.At-end.At), end.State), Events: []Event{end, s}})
				break
			}
		}
	}
	return out
}
