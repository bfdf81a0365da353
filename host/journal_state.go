package host

import (
	"cmp"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// Bounds of what a host remembers.
const (
	tombstoneAge  = 24 * time.Hour      // but for an end that no controller has acknowledged
	removedAge    = 90 * 24 * time.Hour // of an entry that was taken out of the workers file
	maxTombstones = 20_000
)

// journalState is what the records of a journal add up to.
type journalState struct {
	meta   metaRecord
	marks  map[string]mark
	open   openOutcomes
	finals map[string]skalds.Report
	edges  map[string]edgeRecord
}

// openOutcome is an outcome that no controller has acknowledged.
type openOutcome struct {
	outcome skalds.Outcome
	order   int64
	sentAt  time.Time
	unacked int // sendings without an answer: an outcome that was replaced waits for the answer to its last version
}

func newJournalState() *journalState {
	return &journalState{
		marks:  map[string]mark{},
		open:   newOpenOutcomes(),
		finals: map[string]skalds.Report{},
		edges:  map[string]edgeRecord{},
	}
}

// apply adds one record.
func (s *journalState) apply(r record) {
	switch {
	case r.Meta != nil:
		s.meta = *r.Meta
	case r.Mark != nil:
		s.marks[r.Mark.TaskID] = *r.Mark
		if f, ok := s.finals[r.Mark.TaskID]; ok && f.Epoch < r.Mark.Epoch {
			delete(s.finals, r.Mark.TaskID) // handed out anew: the store knew
		}
	case r.Open != nil:
		s.open.add(*r.Open)
	case r.Acked != nil:
		s.open.remove(*r.Acked)
		if f, ok := s.finals[r.Acked.TaskID]; ok && r.Acked.Kind == skalds.OutcomeExit && f.Epoch == r.Acked.Epoch && f.Attempt <= r.Acked.Attempt {
			delete(s.finals, r.Acked.TaskID)
		}
	case r.Final != nil:
		s.finals[r.Final.TaskID] = *r.Final
	case r.Told != "":
		delete(s.finals, r.Told)
	case r.Edge != nil:
		s.edges[r.Edge.TaskID] = *r.Edge
	}
}

// owes reports whether no controller has acknowledged how an epoch of a task has ended.
func (s *journalState) owes(taskID string, epoch int64) bool {
	return slices.ContainsFunc(s.open.exits[taskID], func(k skalds.OutcomeKey) bool { return k.Epoch == epoch })
}

// prune forgets tombstones that are too old or too many. The word of an end that no controller has acknowledged, and the mark of it, are
// never too old: without them a controller takes the task for one that has gone with a former incarnation, and has it run again.
func (s *journalState) prune(now time.Time) {
	old := func(at int64) bool { return now.Sub(time.UnixMilli(at)) > tombstoneAge }
	closed, ended := []tombstone{}, []tombstone{}
	for id, m := range s.marks {
		if m.Closed {
			closed = append(closed, tombstone{id, m.At, s.owes(id, m.Epoch)})
		}
	}
	for id, f := range s.finals {
		ended = append(ended, tombstone{id, f.At, s.owes(id, f.Epoch)})
	}
	for _, t := range spare(closed, old) {
		delete(s.marks, t.taskID)
	}
	for _, t := range spare(ended, old) {
		delete(s.finals, t.taskID)
	}
	for id, e := range s.edges {
		if e.Removed > 0 && now.Sub(time.UnixMilli(e.Removed)) > removedAge {
			delete(s.edges, id)
		}
	}
}

// tombstone is what is remembered of a task that is not here any more.
type tombstone struct {
	taskID string
	at     int64 // ms since epoch
	owed   bool  // to a controller
}

// spare lists those that can be forgotten: the old ones that are owed to nobody, and what is too many, those that are owed last, the oldest
// first.
func spare(list []tombstone, old func(at int64) bool) []tombstone {
	slices.SortFunc(list, func(a, b tombstone) int {
		if a.owed != b.owed {
			if b.owed {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.at, b.at)
	})
	n := max(0, len(list)-maxTombstones)
	for n < len(list) && !list[n].owed && old(list[n].at) {
		n++
	}
	return list[:n]
}

// records is the state as the shortest list of records.
func (s *journalState) records() []record {
	rs := make([]record, 0, 1+len(s.marks)+len(s.open.byKey)+len(s.finals)+len(s.edges))
	meta := s.meta
	rs = append(rs, record{Meta: &meta})
	for _, m := range s.marks {
		rs = append(rs, record{Mark: &m})
	}
	for _, o := range s.open.list() {
		rs = append(rs, record{Open: &o})
	}
	for _, f := range s.finals {
		rs = append(rs, record{Final: &f})
	}
	for _, e := range s.edges {
		rs = append(rs, record{Edge: &e})
	}
	return rs
}
