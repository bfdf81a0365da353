package host

import (
	"slices"

	"github.com/skalds-go/skalds"
)

// Bounds of the outcomes that wait for a controller. A host that is offline for weeks, with a worker that crashes every
// minute, must fill neither its disk nor its memory.
const (
	maxOpenOutcomes = 100_000
	maxOpenBytes    = 64 << 20
	maxOpenExits    = 50  // of one task: its first end and the newest ones are kept
	maxOpenLogs     = 10  // of one task: of its newest ends the log and the stack are kept
	openOverhead    = 512 // bytes of an outcome beside its texts, roughly
)

// openOutcomes are the outcomes that no controller has acknowledged.
type openOutcomes struct {
	byKey map[skalds.OutcomeKey]*openOutcome
	order int64                          // of the next one
	bytes int                            // what all of them take, roughly
	exits map[string][]skalds.OutcomeKey // of each task, oldest first
	lost  int                            // given up since the last time that anybody asked
}

func newOpenOutcomes() openOutcomes {
	return openOutcomes{byKey: map[skalds.OutcomeKey]*openOutcome{}, exits: map[string][]skalds.OutcomeKey{}}
}

// add keeps an outcome, or replaces one of the same key, within the bounds.
func (s *openOutcomes) add(o skalds.Outcome) {
	if old, ok := s.byKey[o.OutcomeKey]; ok {
		s.replace(old, o)
	} else {
		s.order++
		s.byKey[o.OutcomeKey] = &openOutcome{outcome: o, order: s.order}
		s.bytes += outcomeBytes(o)
		if o.Kind == skalds.OutcomeExit {
			s.exits[o.TaskID] = append(s.exits[o.TaskID], o.OutcomeKey)
			s.trimExits(o.TaskID)
		}
	}
	if s.bytes > maxOpenBytes || len(s.byKey) > maxOpenOutcomes {
		s.shed()
	}
}

func (s *openOutcomes) replace(old *openOutcome, o skalds.Outcome) {
	s.bytes += outcomeBytes(o) - outcomeBytes(old.outcome)
	old.outcome = o
}

// remove forgets an outcome.
func (s *openOutcomes) remove(key skalds.OutcomeKey) {
	o, ok := s.byKey[key]
	if !ok {
		return
	}
	delete(s.byKey, key)
	s.bytes -= outcomeBytes(o.outcome)
	if key.Kind != skalds.OutcomeExit {
		return
	}
	keys := slices.DeleteFunc(s.exits[key.TaskID], func(k skalds.OutcomeKey) bool { return k == key })
	if len(keys) == 0 {
		delete(s.exits, key.TaskID)
	} else {
		s.exits[key.TaskID] = keys
	}
}

// trimExits keeps the first end of a task and its newest ones, and the logs of the newest few.
func (s *openOutcomes) trimExits(taskID string) {
	keys := s.exits[taskID]
	if len(keys) > maxOpenExits+1 {
		s.lost++
		s.remove(keys[1])
		keys = s.exits[taskID]
	}
	if i := len(keys) - 1 - maxOpenLogs; i > 0 {
		s.strip(keys[i])
	}
}

// strip takes the log, the stack and the measurements from an exit report.
func (s *openOutcomes) strip(key skalds.OutcomeKey) {
	o := s.byKey[key]
	if o.outcome.Exit == nil {
		return
	}
	short, a := o.outcome, *o.outcome.Exit // others may be reading it
	a.LogTail, a.Usage = "", nil
	if a.Exit != nil {
		exit := *a.Exit
		exit.Stack = ""
		a.Exit = &exit
	}
	short.Exit = &a
	s.replace(o, short)
}

// shed makes room: first the logs of ends go, oldest first, then artifacts, then ends but for the last of each task, then the
// rest. It frees an eighth, so that it is not called for every outcome.
func (s *openOutcomes) shed() {
	enough := func() bool {
		return s.bytes <= maxOpenBytes-maxOpenBytes/8 && len(s.byKey) <= maxOpenOutcomes-maxOpenOutcomes/100
	}
	drop := func(o skalds.Outcome) {
		s.lost++
		s.remove(o.OutcomeKey)
	}
	for _, pass := range []func(o skalds.Outcome){
		func(o skalds.Outcome) { s.strip(o.OutcomeKey) },
		func(o skalds.Outcome) {
			if o.Kind == skalds.OutcomeArtifact {
				drop(o)
			}
		},
		func(o skalds.Outcome) {
			if keys := s.exits[o.TaskID]; o.Kind == skalds.OutcomeExit && keys[len(keys)-1] != o.OutcomeKey {
				drop(o)
			}
		},
		drop,
	} {
		for _, o := range s.list() {
			if enough() {
				return
			}
			pass(o)
		}
	}
}

// list is all of them, oldest first.
func (s *openOutcomes) list() []skalds.Outcome {
	list := make([]*openOutcome, 0, len(s.byKey))
	for _, o := range s.byKey {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *openOutcome) int { return int(a.order - b.order) })
	out := make([]skalds.Outcome, len(list))
	for i, o := range list {
		out[i] = o.outcome
	}
	return out
}

// takeLost is how many have been given up since it was last called.
func (s *openOutcomes) takeLost() int {
	n := s.lost
	s.lost = 0
	return n
}

// sampleBytes is what a measurement takes in the journal, more or less.
const sampleBytes = 80

func outcomeBytes(o skalds.Outcome) int {
	n := openOverhead + len(o.Name) + len(o.Value)
	if a := o.Exit; a != nil {
		n += len(a.LogTail) + len(a.Usage)*sampleBytes
		if a.Exit != nil {
			n += len(a.Exit.Message) + len(a.Exit.Stack)
		}
	}
	if a := o.Artifact; a != nil {
		n += len(a.Path) + len(a.Meta)
	}
	return n
}
