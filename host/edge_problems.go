package host

import (
	"errors"
	"slices"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

// adopt makes the entries of a file known to those who look for the place of a fault.
func (e *edgeSource) adopt(file *conf.WorkersFile) {
	entries := make(map[string]conf.WorkerEntry, len(file.Entries))
	var problems []skalds.NodeProblem
	for _, entry := range file.Entries {
		if entry.Err != nil {
			problems = append(problems, problemsOf(e.path, entry.Err)...)
		} else {
			entries[entry.Spec.ID] = entry
		}
	}
	e.mu.Lock()
	e.entries, e.problems = entries, problems
	e.mu.Unlock()
}

// entry is what the file said of a task when it could last be read.
func (e *edgeSource) entry(taskID string) (conf.WorkerEntry, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry, ok := e.entries[taskID]
	return entry, ok
}

// trouble lists what is wrong with the file now.
func (e *edgeSource) trouble() []skalds.NodeProblem {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.problems)
}

// problemsOf makes a problem of every fault.
func problemsOf(path string, err error) []skalds.NodeProblem {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var out []skalds.NodeProblem
		for _, one := range several.Unwrap() {
			out = append(out, problemsOf(path, one)...)
		}
		return out
	}
	var f *conf.Fault
	if !errors.As(err, &f) {
		return []skalds.NodeProblem{{Path: path, Reason: err.Error()}}
	}
	return []skalds.NodeProblem{{Path: f.Place(), Reason: f.What()}}
}
