package host

import (
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// Bounds of what a host remembers.
const (
	tombstoneAge  = 24 * time.Hour
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

// prune forgets tombstones that are too old or too many.
func (s *journalState) prune(now time.Time) {
	var closed []mark
	for id, m := range s.marks {
		if !m.Closed {
			continue
		}
		if now.Sub(time.UnixMilli(m.At)) > tombstoneAge {
			delete(s.marks, id)
			continue
		}
		closed = append(closed, m)
	}
	if len(closed) > maxTombstones {
		slices.SortFunc(closed, func(a, b mark) int { return int(a.At - b.At) })
		for _, m := range closed[:len(closed)-maxTombstones] {
			delete(s.marks, m.TaskID)
		}
	}
	for id, e := range s.edges {
		if e.Removed > 0 && now.Sub(time.UnixMilli(e.Removed)) > removedAge {
			delete(s.edges, id)
		}
	}
	for id, f := range s.finals {
		if now.Sub(time.UnixMilli(f.At)) > tombstoneAge {
			delete(s.finals, id)
		}
	}
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
