package host

import (
	"encoding/json"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

// attached hears that a controller has answered a hello: it is told of every entry, and tells in turn what the store holds.
func (e *edgeSource) attached(a skalds.HelloAnswer) {
	e.do(func() {
		for id, epoch := range a.Epochs {
			e.higher[id] = max(e.higher[id], epoch)
		}
		if a.Part > 1 {
			return
		}
		e.online = true
		for _, t := range e.tasks {
			e.announce(t)
		}
		for id := range e.removed {
			e.announceRemoved(id)
		}
	})
}

// announce tells the controllers of one entry.
func (e *edgeSource) announce(t *edgeTask) {
	if !e.online || t.foreign != "" {
		return
	}
	rec, _ := e.journal.edge(t.spec.ID)
	e.reporter.send(skalds.HostMessage{Edge: &skalds.EdgeEntry{Spec: e.effective(t), BaseHash: rec.BaseHash, Epoch: t.epoch, Retry: t.retry}})
}

// announceRemoved tells the controllers of an entry that is gone.
func (e *edgeSource) announceRemoved(id string) {
	if !e.online {
		return
	}
	e.reporter.send(skalds.HostMessage{Edge: &skalds.EdgeEntry{
		Spec: skalds.Spec{ID: id, Mode: skalds.ModeActive}, Removed: true, Epoch: e.removed[id],
	}})
}

// answered takes what the store holds for an entry.
func (e *edgeSource) answered(a skalds.EdgeAnswer) {
	e.do(func() { e.settle(a) })
}

func (e *edgeSource) settle(a skalds.EdgeAnswer) {
	if _, gone := e.removed[a.TaskID]; gone {
		delete(e.removed, a.TaskID)
		e.journal.changeEdge(a.TaskID, func(rec *edgeRecord) bool {
			rec.Told = true
			return rec.Removed > 0
		})
		return
	}
	t := e.tasks[a.TaskID]
	if t == nil {
		return
	}
	if a.Owner != "" && a.Owner != e.nodeID {
		e.yield(t, a.Owner)
		return
	}
	e.higher[a.TaskID] = max(e.higher[a.TaskID], a.Epoch)
	if a.Epoch > t.epoch {
		e.renumber(t, a.Epoch+1)
		return
	}
	if a.Accepted && a.Epoch < t.epoch {
		return // to an entry before the last one
	}
	if !a.Accepted {
		e.log.Error("the controller does not take an entry of the workers file", "task_id", a.TaskID, "reason", a.Reason)
	}
	e.retryHeard(t)
	if a.DesiredRevision >= t.revision { // else a command that came before it says more
		t.revision = a.DesiredRevision
		e.followStore(t, a)
	}
	e.tell(t, a.State)
}

// retryHeard forgets that a retry has to be told: a controller has answered, or retried by itself.
func (e *edgeSource) retryHeard(t *edgeTask) {
	t.retry = false
	e.journal.changeEdge(t.spec.ID, func(rec *edgeRecord) bool {
		was := rec.Retry
		rec.Retry = false
		return was
	})
}

// followStore takes over what the store wants of a task.
func (e *edgeSource) followStore(t *edgeTask, a skalds.EdgeAnswer) {
	if len(a.Attachments) > 0 || a.Accepted {
		e.align(t, a.Attachments)
	}
	active := e.roster.active(a.TaskID)
	switch {
	case a.Desired == skalds.DesiredGone && active:
		t.desired = a.Desired
		e.roster.assign(skalds.Command{
			TaskID: a.TaskID, Generation: t.gen, Epoch: t.epoch, DesiredRevision: t.revision, Desired: skalds.DesiredGone, Reason: string(skalds.ExitCancelled),
		}, fromFile)
	case a.Desired == skalds.DesiredRunning || a.Desired == skalds.DesiredPaused:
		t.desired = a.Desired
		if active {
			e.put(t)
		}
	}
}

// tell reports the state of a task anew to a controller that has just come to know of its epoch.
func (e *edgeSource) tell(t *edgeTask, stored skalds.State) {
	if r := e.roster.runner(t.spec.ID); r != nil && !r.isClosed() {
		r.announce()
		return
	}
	rec, ok := e.journal.edge(t.spec.ID)
	if !ok || !rec.State.Final() || rec.State == stored || rec.Epoch != t.epoch {
		return
	}
	rep := skalds.Report{TaskID: rec.TaskID, Epoch: rec.Epoch, DesiredRevision: t.revision, Ack: skalds.AckApplied, State: rec.State, Exit: rec.Exit}
	if rec.State == skalds.Failed && rec.Exit != nil {
		rep.Exception = exitLine(*rec.Exit)
	}
	e.reporter.state(rep)
}

// yield leaves a task to the node that owns it.
func (e *edgeSource) yield(t *edgeTask, owner string) {
	if t.foreign == owner {
		return
	}
	t.foreign = owner
	e.log.Error("a task of the workers file belongs to another node and is not run here: give the entry another id, or remove it on one of the nodes",
		"task_id", t.spec.ID, "owner", owner)
	if r := e.roster.runner(t.spec.ID); r != nil {
		r.leave(departure{kind: skalds.ExitSuperseded, message: "the task belongs to node " + owner, quiet: true})
	}
}

// renumber gives a task an epoch above that of the store, which knew more than this host (its data folder is new).
func (e *edgeSource) renumber(t *edgeTask, epoch int64) {
	t.epoch = epoch
	rec, _ := e.journal.edge(t.spec.ID)
	e.remember(t, rec.State)
	if err := e.journal.sync(); err != nil {
		e.log.Warn("the new epoch of a task is not durable", "task_id", t.spec.ID, "epoch", epoch, "err", err)
	}
	if r := e.roster.runner(t.spec.ID); r != nil {
		r.renumber(epoch)
	}
	e.announce(t)
}

// align keeps file and store alike, three ways by content.
func (e *edgeSource) align(t *edgeTask, stored json.RawMessage) {
	id := t.spec.ID
	rec, _ := e.journal.edge(id)
	mine := e.effective(t).Attachments
	action := syncAttachments(skalds.ContentHash(mine), rec.BaseHash, skalds.ContentHash(stored))
	switch action {
	case syncFileWins:
		return // the store follows
	case syncAlike:
		e.journal.changeEdge(id, func(rec *edgeRecord) bool {
			h := skalds.ContentHash(stored)
			changed := rec.BaseHash != h
			rec.BaseHash = h
			return changed
		})
		return
	case syncConflict:
		if err := conf.WriteConflict(e.path, id, mine); err != nil {
			e.log.Error("cannot keep the file's attachments beside it", "task_id", id, "err", err)
		}
		e.log.Warn("attachments differ in file and store: the store's hold, the file's are kept", "task_id", id, "kept_in", e.path+".conflict")
	}
	var overlay json.RawMessage
	var fileHash string
	if err := conf.WriteAttachments(e.path, id, stored); err != nil {
		overlay, fileHash = stored, skalds.ContentHash(t.spec.Attachments)
		e.log.Warn("the store's attachments cannot be written to the workers file: they hold as an overlay until the entry is changed there", "task_id", id, "err", err)
	} else {
		t.spec.Attachments = stored
		e.lastStat = fileStamp(e.path)
	}
	e.journal.changeEdge(id, func(rec *edgeRecord) bool {
		rec.Overlay, rec.FileHash, rec.BaseHash = overlay, fileHash, skalds.ContentHash(stored)
		return true
	})
	e.remember(t, rec.State)
	if e.roster.active(id) {
		e.put(t)
	}
}

// commanded takes a controller's command for an edge task: cancel, pause, resume, new attachments, retry. It is false for
// tasks that are not of the file.
func (e *edgeSource) commanded(c skalds.Command) bool {
	e.mu.Lock()
	ours := e.ids[c.TaskID]
	e.mu.Unlock()
	if !ours {
		return false
	}
	e.do(func() { e.obey(c) })
	return true
}

func (e *edgeSource) obey(c skalds.Command) {
	t := e.tasks[c.TaskID]
	if t == nil || t.foreign != "" {
		return
	}
	ack := skalds.Report{TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Ack: skalds.AckReceived}
	if c.Epoch < t.epoch {
		ack.Ack, ack.Reason = skalds.AckRefused, "the task runs under a newer epoch"
		e.reporter.state(ack)
		return
	}
	e.reporter.state(ack)
	newer := c.Epoch > t.epoch // an explicit retry
	t.epoch, t.gen, t.desired, t.revision = c.Epoch, max(c.Generation, t.gen), c.Desired, max(c.DesiredRevision, t.revision)
	if c.Desired == skalds.DesiredGone {
		if e.roster.active(c.TaskID) {
			e.remember(t, skalds.Cancelled)
		}
		c.Reason = string(skalds.ExitCancelled)
		if !e.roster.assign(c, fromFile) {
			ack.Ack = skalds.AckApplied
			e.reporter.state(ack)
		}
		return
	}
	if newer {
		e.retryHeard(t)
		e.remember(t, skalds.Running, func(rec *edgeRecord) {
			rec.Stages, rec.MemoryFailures, rec.MemoryLimit = nil, 0, 0
		})
		if err := e.journal.sync(); err != nil {
			e.log.Warn("the new epoch of a task is not durable", "task_id", c.TaskID, "epoch", c.Epoch, "err", err)
		}
	}
	if c.Spec != nil {
		e.align(t, c.Spec.Attachments)
	}
	if newer || e.roster.active(c.TaskID) {
		e.put(t)
	}
}
