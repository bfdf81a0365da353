package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/masking"
)

// saveTries bounds how often a change is decided anew because another writer was faster.
const saveTries = 50

// TaskService is what users can do with tasks. Every change is decided on a copy by the pure functions of lifecycle.go and
// stored by compare-and-set; what follows from it is told to the other parts only after that.
type TaskService struct {
	cfg        Config
	store      Store
	cluster    *cluster
	waiting    *waiting
	dispatcher *dispatcher
	unanswered *unanswered
	publisher  *publisher
	unclear    *unclear
	auditor    *auditor
	streams    *Streams
	schemas    *schemas
	picture    *picture
	originals  *originalNodes  // nil: there can be none
	leads      func() bool     // this controller has the leader's lease
	loaded     <-chan struct{} // closed when it is known which workers there are
	clock      Clock
	log        hclog.Logger
}

func (s *TaskService) now() int64 { return s.clock.Now().UnixMilli() }

// change reads a task, has decide change a copy of it, and stores that; where another writer was faster, all of it again.
// decide returns errNoChange to leave the task as it is. The task returned is the one in the store.
func (s *TaskService) change(ctx context.Context, id string, decide func(t *skalds.Task, now int64) error) (*skalds.Task, error) {
	for range saveTries {
		before, err := s.store.Task(ctx, id)
		if err != nil {
			return nil, notFound(err, id)
		}
		after := before.Clone()
		now := s.now()
		if err := decide(after, now); err != nil {
			if errors.Is(err, errNoChange) {
				return before, nil
			}
			return before, err
		}
		after.UpdateDateTime = now
		err = s.save(ctx, after)
		s.unclear.wrote(id, before.Revision+1, err)
		if errors.Is(err, skalds.ErrRevision) {
			continue
		}
		if err != nil {
			return nil, notFound(err, id)
		}
		s.committed(before, after)
		return after, nil
	}
	return nil, skalds.Errorf(skalds.CodeUnavailable, "task %s is being changed by others all the time: try again", id)
}

// lasting is for what must not be left half done because a client leaves or a service ends: it has a time-out instead.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
}

func (s *TaskService) save(ctx context.Context, t *skalds.Task) error {
	ctx, cancel := lasting(ctx)
	defer cancel()
	return s.store.Save(ctx, t)
}

// add stores a new task and carries out what follows; created is false where its idempotency key is that of the stored one.
func (s *TaskService) add(ctx context.Context, t *skalds.Task) (stored *skalds.Task, created bool, err error) {
	ctx, cancel := lasting(ctx)
	defer cancel()
	stored, created, err = s.store.Create(ctx, t)
	s.unclear.wrote(t.ID, 1, err)
	if err == nil && created {
		s.committed(nil, stored)
	}
	return stored, created, err
}

// committed carries out what follows from a stored change; before is nil for a new task. Where another controller leads, that one
// has to, and is told.
func (s *TaskService) committed(before, after *skalds.Task) {
	e := effectsOf(before, after)
	leads := s.leads()
	if leads {
		s.follow(&e, after)
	}
	if e.Publish || !leads {
		s.publisher.publish(changeOf(after, s.now()))
	}
	if before != nil && before.LifecycleStatus != after.LifecycleStatus {
		s.log.Debug("task changed", "task_id", after.ID, "from", before.LifecycleStatus, "to", after.LifecycleStatus, "node_id", after.Executor, "epoch", after.Epoch, "reason", after.Exception)
	}
}

// heard carries out what follows from a change that another controller has stored.
func (s *TaskService) heard(ctx context.Context, id string) error {
	t, err := s.store.Task(ctx, id)
	if errors.Is(err, skalds.ErrNotFound) {
		s.waiting.remove(id)
		s.cluster.release(id)
		return nil
	}
	if err != nil {
		return err
	}
	e := effectsOf(nil, t)
	e.Release, e.Unqueue = !e.Hold, !e.Queue // whatever it was before
	s.follow(&e, t)
	return nil
}

// lookAgain reads a task of which it is not known whether a change was stored, and has everything done that follows from what it
// says now. It is nil where there is no such task.
func (s *TaskService) lookAgain(ctx context.Context, id string) (*skalds.Task, error) {
	t, err := s.store.Task(ctx, id)
	if err != nil && !errors.Is(err, skalds.ErrNotFound) {
		return nil, err
	}
	if s.leads() {
		if err := s.heard(ctx, id); err != nil {
			return nil, err
		}
	}
	if t != nil { // who leads hears of it so, if this is another one
		s.publisher.publish(changeOf(t, s.now()))
	}
	return t, nil
}

// follow carries out the effects of a change, but for its announcement.
func (s *TaskService) follow(e *effects, after *skalds.Task) {
	if s.originals != nil { // before it is in a line, from which it may be handed out at once
		s.originals.follow(after)
	}
	switch {
	case e.Hold:
		s.cluster.hold(after, s.clock.Now())
	case e.Release:
		s.cluster.release(after.ID)
	}
	switch {
	case e.Queue:
		s.waiting.add(after, s.cluster.boundTo(after), s.now())
		s.dispatcher.created()
	case e.Unqueue:
		s.waiting.remove(after.ID)
	}
	if e.Release {
		s.dispatcher.freed()
	}
	if e.Command && !s.cluster.isOriginal(e.Node) {
		s.unanswered.command(after)
	} else if after.AckedRevision >= after.DesiredRevision {
		s.unanswered.settled(after.ID)
	}
}

func notFound(err error, id string) error {
	if errors.Is(err, skalds.ErrNotFound) {
		return &skalds.Error{Code: skalds.CodeNotFound, Message: fmt.Sprintf("there is no task %q", id), Err: nil}
	}
	return err
}

// view adds to a task what its node says and why it waits.
func (s *TaskService) view(t *skalds.Task) TaskView {
	if t.LifecycleStatus == skalds.Created {
		t = t.Clone()
		if t.Waiting = t.Quarantined; t.Waiting == "" {
			t.Waiting = s.dispatcher.why(t)
		}
	}
	v := TaskView{Task: t, Live: s.cluster.instance(t)}
	if v.Live == nil && t.LifecycleStatus == skalds.Running && t.Phase == skalds.PhaseNone {
		v.Beats = s.cluster.isOriginal(t.Executor)
	}
	return v
}

// Task reads one task.
func (s *TaskService) Task(ctx context.Context, id string) (TaskView, error) {
	t, err := s.store.Task(ctx, id)
	if err != nil {
		return TaskView{}, notFound(err, id)
	}
	return s.view(t), nil
}

// Tasks lists tasks, newest first.
func (s *TaskService) Tasks(ctx context.Context, f TaskFilter) (items []TaskView, total int, next string, err error) {
	page, err := s.store.Tasks(ctx, f)
	if err != nil {
		return nil, 0, "", err
	}
	items = make([]TaskView, len(page.Items))
	for i, t := range page.Items {
		items[i] = s.view(t)
	}
	return items, page.Total, page.Next, nil
}

// ClassNames lists the classes of all tasks.
func (s *TaskService) ClassNames(ctx context.Context) ([]string, error) {
	return s.store.ClassNames(ctx)
}

// act is a change on a user's word, with an audit.
func (s *TaskService) act(ctx context.Context, id, who, action string, decide func(t *skalds.Task, now int64) error) (TaskView, error) {
	var before *skalds.Task
	t, err := s.change(ctx, id, func(t *skalds.Task, now int64) error {
		before = t.Clone()
		return decide(t, now)
	})
	if err != nil {
		if before != nil {
			s.auditUnclear(ctx, AuditEntry{Who: who, Action: action, TaskID: id, Before: stateJSON(before)}, err)
		}
		return TaskView{}, err
	}
	if before != nil && before.Revision != t.Revision {
		s.audit(ctx, AuditEntry{Who: who, Action: action, TaskID: id, Before: stateJSON(before), After: stateJSON(t)})
	}
	return s.view(t), nil
}

func (s *TaskService) audit(ctx context.Context, e AuditEntry) {
	e.At = s.now()
	if e.Who == "" {
		e.Who = "unknown"
	}
	s.auditor.write(ctx, e)
}

// auditUnclear writes down a change of which it is not known whether it was stored; err is how its writing has ended.
func (s *TaskService) auditUnclear(ctx context.Context, e AuditEntry, err error) {
	if isUnclear(err) {
		e.Action += " (the store has not said whether it was done)"
		s.audit(ctx, e)
	}
}

func stateJSON(t *skalds.Task) json.RawMessage {
	b, err := json.Marshal(map[string]any{"lifecycleStatus": t.LifecycleStatus, "epoch": t.Epoch, "run": t.Run, "executor": t.Executor})
	if err != nil {
		return nil
	}
	return b
}

// Cancel ends a task.
func (s *TaskService) Cancel(ctx context.Context, id, who string) (TaskView, error) {
	return s.act(ctx, id, who, "cancel", func(t *skalds.Task, now int64) error {
		original := t.Executor != "" && s.cluster.isOriginal(t.Executor)
		if original && t.Mode == skalds.ModeActive && !t.LifecycleStatus.Final() {
			return skalds.Errorf(skalds.CodeConflict, "task %s is of the workers file of Python node %s, which can end it only with itself: take it out of the file and restart the node", t.ID, t.Executor)
		}
		if err := cancel(t, now); err != nil {
			return err
		}
		if original {
			leaveOriginal(t)
		}
		return nil
	})
}

// Pause holds a task.
func (s *TaskService) Pause(ctx context.Context, id, who string) (TaskView, error) {
	return s.act(ctx, id, who, "pause", func(t *skalds.Task, _ int64) error {
		if t.LifecycleStatus.OnNode() && t.Executor != "" && s.cluster.isOriginal(t.Executor) {
			return skalds.Errorf(skalds.CodeConflict, "task %s runs on Python node %s, which cannot pause tasks: cancel it, or drain the node so that another one runs it", t.ID, t.Executor)
		}
		return pause(t)
	})
}

// Resume lets a paused task go on.
func (s *TaskService) Resume(ctx context.Context, id, who string) (TaskView, error) {
	return s.act(ctx, id, who, "resume", resume)
}

// Retry runs a task again that has ended, or releases one from quarantine.
func (s *TaskService) Retry(ctx context.Context, id, who string) (TaskView, error) {
	return s.act(ctx, id, who, "retry", func(t *skalds.Task, now int64) error {
		if node, ok := s.originals.stays(id, s.clock.Now()); ok && t.LifecycleStatus.Final() {
			return skalds.Errorf(skalds.CodeConflict, "the process of the former run of task %s may still be on Python node %s: try again in some seconds", t.ID, node)
		}
		return retry(t, now)
	})
}

// UpdateAttachments exchanges a task's parameters, while it runs where its worker can do that.
func (s *TaskService) UpdateAttachments(ctx context.Context, u AttachmentsUpdate) (TaskView, error) {
	if err := skalds.ValidateAttachments(u.Attachments); err != nil {
		return TaskView{}, skalds.Invalid("the attachments do not fit", err)
	}
	var before json.RawMessage
	t, err := s.change(ctx, u.TaskID, func(t *skalds.Task, _ int64) error {
		if u.IfRevision != 0 && u.IfRevision != t.Revision {
			return skalds.Errorf(skalds.CodeConflict, "task %s has changed since you read it (revision %d, now %d): read it again", t.ID, u.IfRevision, t.Revision)
		}
		before = t.Attachments
		if err := updateAttachments(t, u.Attachments); err != nil {
			return err
		}
		return s.checkAttachments(t.ClassName, t.Version, t.WorkerVersion, u.Attachments)
	})
	if err != nil {
		s.auditUnclear(ctx, AuditEntry{Who: u.Who, Action: "update attachments", TaskID: u.TaskID, Before: masking.Document(before), After: masking.Document(u.Attachments)}, err)
		return TaskView{}, err
	}
	if skalds.ContentHash(before) != skalds.ContentHash(t.Attachments) {
		s.audit(ctx, AuditEntry{Who: u.Who, Action: "update attachments", TaskID: u.TaskID, Before: masking.Document(before), After: masking.Document(t.Attachments)})
	}
	return s.view(t), nil
}

// Attempts lists the runs of a task, oldest first.
func (s *TaskService) Attempts(ctx context.Context, id string) ([]skalds.Attempt, error) {
	t, err := s.store.Task(ctx, id)
	if err != nil {
		return nil, notFound(err, id)
	}
	list, err := s.store.Attempts(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range list { // one that was lost with its node has no end of its own
		if a := &list[i]; a.EndedAt == 0 && a.Exit != nil {
			a.EndedAt = t.UpdateDateTime
			if i+1 < len(list) {
				a.EndedAt = list[i+1].StartedAt
			}
		}
	}
	if a, ok := s.underWay(t, list); ok {
		list = append(list, a)
	}
	return list, nil
}

// underWay is the attempt whose process lives now, of which there is no report yet.
func (s *TaskService) underWay(t *skalds.Task, ended []skalds.Attempt) (skalds.Attempt, bool) {
	if t.PID == 0 || !t.LifecycleStatus.OnNode() {
		return skalds.Attempt{}, false
	}
	for i := range ended {
		if ended[i].Epoch == t.Epoch && ended[i].Attempt >= t.Attempt {
			return skalds.Attempt{}, false
		}
	}
	a := skalds.Attempt{
		TaskID: t.ID, Epoch: t.Epoch, Attempt: t.Attempt, Node: t.Executor, Version: t.WorkerVersion, PID: t.PID, StartedAt: t.StartedAt,
	}
	if l := s.cluster.instance(t); l != nil && l.Epoch == t.Epoch && l.Attempt == t.Attempt {
		a.Peak, a.LastUsage = l.Peak, l.Usage
	}
	return a, true
}

// maxArtifacts bounds one answer.
const maxArtifacts = 1000

// Artifacts lists what a task left behind, by reference.
func (s *TaskService) Artifacts(ctx context.Context, id string) ([]skalds.Artifact, error) {
	if _, err := s.store.Task(ctx, id); err != nil {
		return nil, notFound(err, id)
	}
	return s.store.Artifacts(ctx, id, maxArtifacts)
}

// Usage lists what a task took in the time before it was measured last, oldest first: the finest that is known of each moment.
func (s *TaskService) Usage(ctx context.Context, id string, last time.Duration) ([]skalds.UsageSample, error) {
	if _, err := s.store.Task(ctx, id); err != nil {
		return nil, notFound(err, id)
	}
	list := s.cluster.history.of(id, s.clock.Now())
	if n := len(list); n == 0 || list[n-1].At-list[0].At < last.Milliseconds() { // else memory has all that is asked for
		stored, err := s.store.Usage(ctx, id)
		if err != nil {
			return nil, err
		}
		list = joinUsage(stored, list)
	}
	return tailOf(list, last), nil
}

// recordLoss writes down how an attempt ended that was lost with its node.
func (s *TaskService) recordLoss(ctx context.Context, t *skalds.Task, exit *skalds.Exit) {
	if o := s.lossRecord(t, exit); o != nil {
		s.putLoss(ctx, o)
	}
}

// lossRecord is the record of an attempt that was lost with its node, without an end: that of the host takes its place if there is one
// after all. t is the task as it was before. It is nil where nothing ran.
func (s *TaskService) lossRecord(t *skalds.Task, exit *skalds.Exit) *skalds.Outcome {
	if t.Attempt == 0 || exit == nil || t.LifecycleStatus == skalds.Assigning && t.PID == 0 || t.Phase == skalds.PhaseBackoff {
		return nil
	}
	a := &skalds.Attempt{
		TaskID: t.ID, Epoch: t.Epoch, Attempt: t.Attempt, Node: t.Executor, Version: t.WorkerVersion, PID: t.PID,
		StartedAt: t.StartedAt, Exit: exit,
	}
	if in := s.cluster.instance(t); in != nil && in.Epoch == t.Epoch {
		a.Peak, a.LastUsage = in.Peak, in.Usage
	}
	return &skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: t.ID, Epoch: t.Epoch, Attempt: t.Attempt, Kind: skalds.OutcomeExit}, Exit: a}
}

func (s *TaskService) putLoss(ctx context.Context, o *skalds.Outcome) {
	ctx, cancel := lasting(ctx)
	defer cancel()
	if err := s.store.PutOutcome(ctx, *o); err != nil {
		s.log.Error("cannot write down how an attempt ended", "task_id", o.TaskID, "epoch", o.Epoch, "attempt", o.Attempt, "reason", o.Exit.Exit.Kind, "err", err)
	}
}

// publishNode announces that a node came or went.
func (s *TaskService) publishNode(id, status string) {
	s.publisher.publish(skalds.Change{Type: skalds.ChangeNode, NodeID: id, Status: status, At: s.now()})
}
