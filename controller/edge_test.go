package controller

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
)

func fileEntry(t *skalds.Task, change ...func(*skalds.EdgeEntry)) *skalds.EdgeEntry {
	e := &skalds.EdgeEntry{Spec: t.Spec, Epoch: t.Epoch, BaseHash: skalds.ContentHash(t.Attachments)}
	for _, c := range change {
		c(e)
	}
	return e
}

func TestAttachmentsOfFileAndStore(t *testing.T) {
	one, two, three := json.RawMessage(`{"n":1}`), json.RawMessage(`{"n":2}`), json.RawMessage(`{"n":3}`)
	for _, tt := range []struct {
		name              string
		store, file, base json.RawMessage // base nil: never compared
		want              json.RawMessage
		conflict          bool
	}{
		{"alike", one, one, one, one, false},
		{"alike, never compared", one, one, nil, one, false},
		{"alike in another spelling", one, json.RawMessage(` {"n": 1}`), one, one, false},
		{"the file changed", one, two, one, two, false},
		{"the store changed", two, one, one, two, false},
		{"both changed", two, three, one, two, true},
		{"both changed alike", two, two, one, two, false},
		{"differ, never compared", one, two, nil, one, true},
	} {
		task := taskIn(skalds.Running, active, func(t *skalds.Task) { t.Attachments = tt.store })
		e := fileEntry(task, func(e *skalds.EdgeEntry) {
			e.Spec.Attachments, e.BaseHash = tt.file, ""
			if tt.base != nil {
				e.BaseHash = skalds.ContentHash(tt.base)
			}
		})
		before := task.Clone()
		changed, notes := mergeEdge(task, "n1", e, now)
		if string(task.Attachments) != string(tt.want) || changed != (string(tt.want) != string(tt.store)) {
			t.Errorf("%s: %s (changed %v), want %s", tt.name, task.Attachments, changed, tt.want)
		}
		if got := strings.Contains(strings.Join(notes, " "), "differ"); got != tt.conflict {
			t.Errorf("%s: notes %q", tt.name, notes)
		}
		if task.LifecycleStatus != before.LifecycleStatus || task.Epoch != before.Epoch {
			t.Errorf("%s: %s in epoch %d", tt.name, task.LifecycleStatus, task.Epoch)
		}
	}
}

func TestEntries(t *testing.T) {
	next := func(e *skalds.EdgeEntry) { e.Epoch = 6 }
	again := func(e *skalds.EdgeEntry) { e.Epoch, e.Retry = 6, true }
	for _, tt := range []struct {
		name  string
		task  *skalds.Task
		entry func(*skalds.EdgeEntry)
		state skalds.State
		epoch int64
		run   int
		want  skalds.Desired
	}{
		{"as known", taskIn(skalds.Running, active), func(*skalds.EdgeEntry) {}, skalds.Running, 5, 0, skalds.DesiredRunning},
		{"an older number", taskIn(skalds.Running, active), func(e *skalds.EdgeEntry) { e.Epoch = 4 }, skalds.Running, 5, 0, skalds.DesiredRunning},
		{"the host was restarted", taskIn(skalds.Running, active), next, skalds.Assigning, 6, 0, skalds.DesiredRunning},
		{"restarted while paused", taskIn(skalds.Paused, active), next, skalds.Assigning, 6, 0, skalds.DesiredPaused},
		{"run again after its end", taskIn(skalds.Finished, active), next, skalds.Assigning, 6, 1, skalds.DesiredRunning},
		{"changed after its end", taskIn(skalds.Failed, active), again, skalds.Assigning, 6, 1, skalds.DesiredRunning},
		{"put back after a user cancelled it", taskIn(skalds.Cancelled, active), again, skalds.Assigning, 6, 1, skalds.DesiredRunning},
		{"run by a host that has not heard of the cancelling", taskIn(skalds.Cancelled, active), next, skalds.Cancelled, 6, 0, skalds.DesiredGone},
		{"removed", taskIn(skalds.Running, active), func(e *skalds.EdgeEntry) { e.Removed = true }, skalds.Cancelled, 5, 0, skalds.DesiredGone},
		{"removed after its end", taskIn(skalds.Finished, active), func(e *skalds.EdgeEntry) { e.Removed = true }, skalds.Finished, 5, 0, skalds.DesiredRunning},
	} {
		_, _ = mergeEdge(tt.task, "n1", fileEntry(tt.task, tt.entry), now)
		if tt.task.LifecycleStatus != tt.state || tt.task.Epoch != tt.epoch || tt.task.Run != tt.run || tt.task.Desired != tt.want || tt.task.Executor != "n1" {
			t.Errorf("%s: %s", tt.name, mustJSON(t, tt.task))
		}
		if tt.task.LifecycleStatus == skalds.Assigning && (tt.task.EndedAt != 0 || tt.task.AppliedSeq != 0) {
			t.Errorf("%s: with the rest of the run before: %s", tt.name, mustJSON(t, tt.task))
		}
		if changed, _ := mergeEdge(tt.task, "n1", fileEntry(tt.task, func(e *skalds.EdgeEntry) { tt.entry(e); e.Spec = tt.task.Spec }), now); changed {
			t.Errorf("%s: the same entry again changes something", tt.name)
		}
	}
}

func TestEntriesKeepTheirOwner(t *testing.T) {
	for owner, task := range map[string]*skalds.Task{"n1": taskIn(skalds.Running, active), "(the controller)": taskIn(skalds.Running)} {
		if got := ownerOf(task); got != owner {
			t.Errorf("owned by %q, want %q", got, owner)
		}
	}
	task := taskIn(skalds.Running, active)
	e := fileEntry(task, func(e *skalds.EdgeEntry) { e.Spec.Priority, e.Spec.ID, e.Spec.Mode = 7, "other", skalds.ModePassive })
	if changed, _ := mergeEdge(task, "n1", e, now); !changed || task.Priority != 7 || task.ID != "t" || task.Mode != skalds.ModeActive {
		t.Errorf("merged to %s", mustJSON(t, task))
	}
	for state, want := range map[skalds.State]skalds.Desired{skalds.Cancelled: skalds.DesiredGone, skalds.Finished: skalds.DesiredRunning, skalds.Paused: skalds.DesiredPaused} {
		task := taskIn(state, active, func(t *skalds.Task) {
			if state != skalds.Paused {
				t.Desired = skalds.DesiredGone
			}
		})
		if state == skalds.Paused {
			task.Desired = skalds.DesiredPaused
		}
		if a := edgeAnswer(task, "n1"); a.Desired != want || !a.Accepted || a.Epoch != 5 || a.Hash != skalds.ContentHash(task.Attachments) {
			t.Errorf("%s is answered with %+v", state, a)
		}
	}
}
