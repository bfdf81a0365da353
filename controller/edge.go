package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/masking"
)

// edge brings an entry of a node's workers file and the store together, and answers with what holds.
func (d *desk) edge(ctx context.Context, node string, e *skalds.EdgeEntry) error {
	id := e.Spec.ID
	if !e.Removed {
		if err := e.Spec.Validate(); err != nil {
			d.answerEdge(node, skalds.EdgeAnswer{TaskID: id, Owner: node, Epoch: e.Epoch, Reason: shortened(err.Error())})
			return nil
		}
	}
	stored, err := d.store.Task(ctx, id)
	if errors.Is(err, skalds.ErrNotFound) {
		if e.Removed {
			d.answerEdge(node, skalds.EdgeAnswer{TaskID: id, Owner: node, Accepted: true, Desired: skalds.DesiredGone})
			return nil
		}
		return d.adopt(ctx, node, e)
	}
	if err != nil {
		return err
	}
	if owner := ownerOf(stored); owner != node {
		d.log.Warn("an entry of a workers file names a task of another owner: it is not run", "task_id", id, "node_id", node, "owner", owner)
		d.answerEdge(node, skalds.EdgeAnswer{
			TaskID: id, Owner: owner, Epoch: stored.Epoch, State: stored.LifecycleStatus,
			Reason: fmt.Sprintf("task %q belongs to %s and is named in the workers file of node %s too", id, owner, node),
		})
		return nil
	}
	var notes []string
	t, err := d.tasks.change(ctx, id, func(t *skalds.Task, now int64) error {
		var changed bool
		changed, notes = mergeEdge(t, node, e, now)
		if !changed {
			return errNoChange
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range notes {
		d.tasks.audit(ctx, AuditEntry{Who: "workers file of node " + node, Action: n, TaskID: id, NodeID: node, Before: masking.Document(e.Spec.Attachments), After: masking.Document(t.Attachments)})
	}
	d.answerEdge(node, edgeAnswer(t, node))
	return nil
}

// maxReasonBytes bounds what a node is told of an entry that cannot be used.
const maxReasonBytes = 4 << 10

func shortened(reason string) string {
	if len(reason) > maxReasonBytes {
		return reason[:maxReasonBytes] + "…"
	}
	return reason
}

// ownerOf names the node whose file may name a task; a task that was created otherwise belongs to the controller.
func ownerOf(t *skalds.Task) string {
	if t.Mode != skalds.ModeActive {
		return "(the controller)"
	}
	return t.BoundTo
}

// adopt takes in an entry that the store does not know. The node runs it already and reports how it is.
func (d *desk) adopt(ctx context.Context, node string, e *skalds.EdgeEntry) error {
	now := d.tasks.now()
	spec := e.Spec
	spec.Mode = skalds.ModeActive
	if spec.CreateDateTime == 0 {
		spec.CreateDateTime = now
	}
	if spec.Source == "" {
		spec.Source = "workers file of node " + node
	}
	t := newTask(spec.WithDefaults(d.tasks.cfg.TaskWorkerRetry), now)
	t.LifecycleStatus, t.Executor, t.BoundTo = skalds.Assigning, node, node
	t.Epoch, t.RunEpoch = e.Epoch, e.Epoch
	stored, _, err := d.tasks.add(ctx, t)
	if errors.Is(err, skalds.ErrConflict) {
		return d.edge(ctx, node, e) // somebody was faster
	}
	if err != nil {
		return err
	}
	d.answerEdge(node, edgeAnswer(stored, node))
	return nil
}

func (d *desk) answerEdge(node string, a skalds.EdgeAnswer) {
	d.outbox.send(node, skalds.NodeMessage{Edge: &a})
}

func edgeAnswer(t *skalds.Task, node string) skalds.EdgeAnswer {
	a := skalds.EdgeAnswer{
		TaskID: t.ID, Owner: node, Accepted: true, Attachments: t.Attachments, Hash: skalds.ContentHash(t.Attachments),
		Desired: t.Desired, DesiredRevision: t.DesiredRevision, Epoch: t.Epoch, State: t.LifecycleStatus,
	}
	switch t.LifecycleStatus {
	case skalds.Cancelled:
		a.Desired = skalds.DesiredGone
	case skalds.Finished, skalds.Failed:
		a.Desired = skalds.DesiredRunning // nothing to stop
	}
	return a
}

// mergeEdge brings an entry into the task that its node owns. It reports whether anything has changed and what is worth an
// audit. Pure. The owner's observed state wins; what is desired (cancelled, paused) is the store's; attachments are
// compared by content with the last value that both had.
func mergeEdge(t *skalds.Task, node string, e *skalds.EdgeEntry, now int64) (changed bool, notes []string) {
	if e.Removed {
		if t.LifecycleStatus.Final() {
			return false, nil
		}
		end(t, skalds.Cancelled, now)
		t.Desired, t.AckedRevision = skalds.DesiredGone, t.DesiredRevision // the host does it by itself
		return true, []string{"entry removed: cancelled"}
	}
	if e.Epoch < t.Epoch {
		return false, nil // the answer tells it the store's
	}
	if e.Epoch > t.Epoch {
		changed = true
		switch {
		case e.Retry && t.LifecycleStatus.Final():
			t.Run++
			t.RunEpoch = e.Epoch
			t.EndedAt = 0
			freshBudget(t)
			t.Stages, t.Result, t.Error, t.Exception, t.LastExit = nil, nil, "", "", nil
			t.Progress = skalds.Progress{}
			t.Desired = skalds.DesiredRunning
			notes = append(notes, "entry changed or put back: retried")
			handedOutAnew(t, node)
		case t.LifecycleStatus == skalds.Cancelled: // a user's word, which its host has not heard yet
			t.Desired = skalds.DesiredGone
			t.DesiredRevision++
		case t.LifecycleStatus.Final():
			t.Run++
			t.RunEpoch, t.EndedAt = e.Epoch, 0
			freshBudget(t)
			notes = append(notes, "run again by its host")
			handedOutAnew(t, node)
		default:
			handedOutAnew(t, node)
		}
		t.Epoch = e.Epoch
		t.AppliedIncarnation, t.AppliedSeq = 0, 0
	}
	if mergeSpec(t, e) {
		changed = true
	}
	file, base, stored := skalds.ContentHash(e.Spec.Attachments), e.BaseHash, skalds.ContentHash(t.Attachments)
	switch {
	case file == stored:
	case base != "" && stored == base:
		t.Attachments = e.Spec.Attachments
		changed = true
		notes = append(notes, "attachments taken from the workers file")
	case base != "" && file == base:
	default:
		notes = append(notes, "attachments differ in store and workers file: the store's hold, the file's are kept beside it")
	}
	return changed, notes
}

// handedOutAnew follows a host that has numbered an epoch by itself.
func handedOutAnew(t *skalds.Task, node string) {
	clearRun(t)
	t.LifecycleStatus, t.Executor, t.BoundTo = skalds.Assigning, node, node
	if t.Desired != skalds.DesiredPaused {
		t.Desired = skalds.DesiredRunning
	}
	t.AckedRevision = t.DesiredRevision // the answer carries what is desired
}

// mergeSpec takes over everything that the file says but attachments; it reports whether anything differs.
func mergeSpec(t *skalds.Task, e *skalds.EdgeEntry) bool {
	spec := e.Spec
	spec.ID, spec.Mode, spec.Attachments = t.ID, skalds.ModeActive, t.Attachments
	spec.CreateDateTime, spec.Source = t.CreateDateTime, t.Source
	a, errA := json.Marshal(&spec)
	b, errB := json.Marshal(&t.Spec)
	if errA == nil && errB == nil && string(a) == string(b) {
		return false
	}
	t.Spec = spec
	return true
}
