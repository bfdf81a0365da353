package host

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/skalds-go/skalds"
)

// edgeChange is what a new reading of the workers file means for one task.
type edgeChange int

const (
	edgeAdded   edgeChange = iota + 1 // not there before
	edgeRemoved                       // not there any more
	edgeUpdated                       // other attachments: handed to the running worker
	edgeAltered                       // anything else has changed: run anew
)

// edgeStep is one change to carry out.
type edgeStep struct {
	change edgeChange
	id     string
	spec   skalds.Spec // as the file has it now; not for edgeRemoved
}

// planEdge compares the entries known with those of a new reading. broken names entries that are in the file but cannot be
// used: they change nothing. Pure.
func planEdge(known map[string]skalds.Spec, now []skalds.Spec, broken map[string]bool) []edgeStep {
	var steps []edgeStep
	present := map[string]bool{}
	for _, spec := range now {
		present[spec.ID] = true
		old, ok := known[spec.ID]
		switch {
		case !ok:
			steps = append(steps, edgeStep{edgeAdded, spec.ID, spec})
		case frameHash(old) != frameHash(spec):
			steps = append(steps, edgeStep{edgeAltered, spec.ID, spec})
		case skalds.ContentHash(old.Attachments) != skalds.ContentHash(spec.Attachments):
			steps = append(steps, edgeStep{edgeUpdated, spec.ID, spec})
		}
	}
	var gone []edgeStep
	for id := range known {
		if !present[id] && !broken[id] {
			gone = append(gone, edgeStep{change: edgeRemoved, id: id})
		}
	}
	slices.SortFunc(gone, func(a, b edgeStep) int { return strings.Compare(a.id, b.id) })
	return append(gone, steps...) // what leaves makes room for what comes
}

// frameHash is the hash of everything that an entry says but its attachments.
func frameHash(s skalds.Spec) string {
	s.Attachments, s.CreateDateTime = nil, 0
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return skalds.ContentHash(b)
}

// entryHash is the hash of everything that an entry says.
func entryHash(s skalds.Spec) string {
	return frameHash(s) + skalds.ContentHash(s.Attachments)
}

// edgeStart says whether an entry runs when the host starts, and whether that is a retry by the user: a changed entry of a
// task that had ended.
func edgeStart(rec edgeRecord, known bool, spec skalds.Spec) (run, retry bool) {
	if !known || !rec.State.Final() {
		return true, false
	}
	if rec.EntryHash != entryHash(spec) {
		return true, true
	}
	return spec.IsPersistent && rec.State != skalds.Cancelled, false
}

// syncAction is what to do about attachments that stand in a file and in the store.
type syncAction int

const (
	syncAlike     syncAction = iota + 1
	syncFileWins             // only the file has changed
	syncStoreWins            // only the store has changed
	syncConflict             // both have, or nothing is known: the store wins, the file's value is kept beside it
)

// syncAttachments is the three-way comparison by content; base is the hash when both were last alike, empty: never.
func syncAttachments(file, base, store string) syncAction {
	switch {
	case file == store:
		return syncAlike
	case base != "" && store == base:
		return syncFileWins
	case base != "" && file == base:
		return syncStoreWins
	default:
		return syncConflict
	}
}
