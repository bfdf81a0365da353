package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// Bounds of the dispatcher.
const (
	assignAtOnce  = 64               // decisions before their writing is waited for
	assignWriters = 16               // of them are written side by side
	queueSweep    = 10 * time.Second // the store's queue is read anew: what another controller has created
	queueTick     = 250 * time.Millisecond
	storeTimeout  = 5 * time.Second
	storePause    = 100 * time.Millisecond
)

// dispatcher hands waiting tasks to nodes. It sleeps until something has happened that can change an answer: a task came,
// room was made, a node came or has other workers, a measurement fell.
type dispatcher struct {
	store   TaskStore
	tasks   *TaskService
	cluster *cluster
	waiting *waiting
	picture *picture
	leads   func() bool
	clock   Clock
	log     hclog.Logger

	wake    chan struct{}
	pulse   pulse // of Run
	formers formers
	failing refrain // hand-outs that cannot be stored
}

// created hears of a new waiting task.
func (d *dispatcher) created() {
	poke(d.wake)
}

// freed hears that a node has more to give than before.
func (d *dispatcher) freed() {
	d.waiting.unblock()
	d.created()
}

// Run places tasks until ctx ends.
func (d *dispatcher) Run(ctx context.Context) error {
	sweep := time.NewTicker(queueSweep)
	defer sweep.Stop()
	tick := time.NewTicker(queueTick)
	defer tick.Stop()
	defer d.pulse.end()
	d.pulse.beat()
	d.formers.reset()
	d.fill(ctx)
	d.created()
	for {
		d.pulse.beat()
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			d.fill(ctx)
			d.freed()
		case <-tick.C:
			d.overdue(ctx)
			continue
		case <-d.wake:
		}
		if d.round(ctx) {
			d.created() // the next round comes after what else is due: as long as tasks keep coming there is one
		}
	}
}

// fill reads the whole queue of the store.
func (d *dispatcher) fill(ctx context.Context) {
	for limit := 1000; ; limit *= 4 {
		c, cancel := context.WithTimeout(ctx, storeTimeout)
		queue, err := d.store.Queue(c, limit)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				d.log.Warn("cannot read the queue: tasks that are known go on being placed", "err", err)
			}
			return
		}
		if len(queue) == limit {
			continue
		}
		now := d.clock.Now().UnixMilli()
		for _, t := range queue {
			d.pulse.beat()
			if d.adopted(ctx, t) {
				continue
			}
			d.waiting.add(t, d.cluster.boundTo(t), now)
		}
		return
	}
}

// overdue ends what has waited too long, and puts those in line again that had to wait. What it cannot do because the store does not
// answer is still due at the next tick.
func (d *dispatcher) overdue(ctx context.Context) {
	timedOut, again := d.waiting.due(d.clock.Now().UnixMilli())
	worked := d.untilAway(ctx, timedOut, d.endWaiting) && d.untilAway(ctx, again, d.requeue)
	for _, id := range d.formers.list() {
		d.pulse.beat()
		if !worked || d.tasks.originals.former(ctx, id) != "" {
			continue
		}
		if worked = d.requeue(ctx, id) == nil; worked {
			d.formers.note(id, "")
			again = append(again, id)
		}
	}
	if len(again) > 0 {
		d.created()
	}
}

// untilAway does something for each task, several side by side, until the store does not answer: each call then takes seconds. It
// is false where that ended it.
func (d *dispatcher) untilAway(ctx context.Context, ids []string, do func(ctx context.Context, id string) error) bool {
	var away atomic.Bool
	sideBySide(assignWriters, ids, func(id string) {
		d.pulse.beat()
		if away.Load() || ctx.Err() != nil {
			return
		}
		if isAway(do(ctx, id)) {
			away.Store(true)
		}
	})
	return !away.Load()
}

// endWaiting ends a task whose queue time-out is over.
func (d *dispatcher) endWaiting(ctx context.Context, id string) error {
	why := d.whyIn(d.waiting, id)
	_, err := d.tasks.change(ctx, id, func(t *skalds.Task, now int64) error {
		if !queueTimedOut(t, why, now) {
			return errNoChange
		}
		return nil
	})
	switch {
	case isAway(err):
		d.log.Debug("cannot end a task whose queue time-out is over: tried again", "task_id", id, "err", err)
		return err
	case err != nil:
		d.log.Warn("cannot end a task whose queue time-out is over", "task_id", id, "err", err)
	}
	d.waiting.remove(id)
	return err
}

// requeue reads a task anew and puts it in the line that it belongs to now. Where it cannot be read, nothing changes.
func (d *dispatcher) requeue(ctx context.Context, id string) error {
	c, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	t, err := d.store.Task(c, id)
	switch {
	case errors.Is(err, skalds.ErrNotFound):
		d.waiting.remove(id)
		return nil
	case isAway(err):
		d.log.Debug("cannot read a waiting task: a later look finds it", "task_id", id, "err", err)
	case err != nil:
		d.log.Warn("cannot read a waiting task", "task_id", id, "err", err)
	case t.LifecycleStatus != skalds.Created || t.Quarantined != "":
		d.waiting.remove(id)
	case d.adopted(ctx, t):
		d.waiting.remove(id)
	default:
		d.waiting.add(t, d.cluster.boundTo(t), d.clock.Now().UnixMilli())
	}
	return err
}

// adopted reports whether a waiting task is one that a script has given to a Python node.
func (d *dispatcher) adopted(ctx context.Context, t *skalds.Task) bool {
	if t.Executor == "" || d.tasks.originals == nil {
		return false
	}
	ok, err := d.tasks.originals.adopt(ctx, t)
	if err != nil && ctx.Err() == nil {
		d.log.Warn("cannot take in a task that a script has given to a Python node: tried again", "task_id", t.ID, "node_id", t.Executor, "err", err)
	}
	return ok
}

// assignment is a decision that is not stored yet.
type assignment struct {
	taskID  string
	verdict dispatch.Verdict
}

// round decides on up to assignAtOnce tasks and stores the decisions. It is false where nothing can be placed any more.
func (d *dispatcher) round(ctx context.Context) bool {
	var decided []assignment
	now := d.clock.Now()
	for len(decided) < assignAtOnce {
		r, ok := d.waiting.next()
		if !ok {
			break
		}
		v, ok := d.cluster.place(&r, now)
		if !ok {
			d.waiting.block(r.TaskID)
			continue
		}
		d.waiting.remove(r.TaskID)
		decided = append(decided, assignment{r.TaskID, v})
	}
	sideBySide(assignWriters, decided, func(a assignment) {
		d.pulse.beat()
		d.assign(ctx, a)
	})
	return len(decided) > 0
}

// assign stores a decision: the task is the node's from then on, and hears of it by a command.
func (d *dispatcher) assign(ctx context.Context, a assignment) {
	if why := d.tasks.originals.former(ctx, a.taskID); why != "" {
		d.cluster.release(a.taskID)
		d.formers.note(a.taskID, why)
		return
	}
	original := d.tasks.originals != nil && d.cluster.isOriginal(a.verdict.NodeID)
	var t *skalds.Task
	store := func() (err error) {
		t, err = d.tasks.change(ctx, a.taskID, func(t *skalds.Task, _ int64) error {
			if t.LifecycleStatus != skalds.Created || !handOut(t, a.verdict.NodeID) {
				return errNoChange
			}
			if original && t.Source == "" {
				t.Source = originalSource // its nodes take no document without
			}
			return nil
		})
		return err
	}
	var err error
	if original {
		err = d.tasks.originals.handOut(ctx, a.taskID, store)
	} else {
		err = store()
	}
	switch {
	case err != nil:
		d.cluster.release(a.taskID)
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, skalds.ErrNotFound) {
			if d.failing.isNew(a.taskID, err.Error()) {
				d.log.Error("cannot hand a task out: it stays queued", "task_id", a.taskID, "node_id", a.verdict.NodeID, "err", err)
			}
			rest(ctx, storePause) // the next sweep of the queue finds it again
		}
	case t.Executor != a.verdict.NodeID || t.LifecycleStatus == skalds.Created: // somebody was faster
		d.cluster.release(a.taskID)
		if t.LifecycleStatus == skalds.Created {
			d.requeue(ctx, a.taskID)
		}
	default:
		if d.failing.over(a.taskID) {
			d.log.Info("a task that could not be handed out is", "task_id", t.ID, "node_id", t.Executor)
		}
		d.log.Debug("handed out", "task_id", t.ID, "node_id", t.Executor, "epoch", t.Epoch, "worker", a.verdict.Worker, "score", a.verdict.Score)
		d.tooLate(ctx, t)
	}
}

// tooLate looks again at the node of a task that was just handed out: one that was lost, or began to drain, between
// decision and storing does not have this task among those that were taken from it.
func (d *dispatcher) tooLate(ctx context.Context, handed *skalds.Task) {
	alive, draining := d.cluster.isAlive(handed.Executor), d.cluster.nodeRecord(handed.Executor).Draining
	if alive && !draining || handed.Mode == skalds.ModeActive {
		return
	}
	_, err := d.tasks.change(ctx, handed.ID, func(t *skalds.Task, now int64) error {
		switch {
		case t.Executor != handed.Executor || t.Epoch != handed.Epoch || t.LifecycleStatus != skalds.Assigning:
			return errNoChange
		case !alive && !d.cluster.isAlive(t.Executor):
			toCreated(t, now)
			return nil
		case draining && drain(t):
			return nil
		}
		return errNoChange
	})
	if err != nil && ctx.Err() == nil {
		d.log.Warn("cannot take a task back from a node that is gone", "task_id", handed.ID, "node_id", handed.Executor, "err", err)
	}
}

// why says in one line why a task waits. Who does not lead has no queue, and looks at what the store says now.
func (d *dispatcher) why(t *skalds.Task) string {
	if !d.leads() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		d.picture.noOlder(ctx, followersLook)
		alone := newWaiting()
		alone.add(t, d.cluster.boundTo(t), d.clock.Now().UnixMilli())
		return d.whyIn(alone, t.ID)
	}
	if why := d.formers.of(t.ID); why != "" {
		return why
	}
	return d.whyIn(d.waiting, t.ID)
}

// whyIn says it for a task of a queue.
func (d *dispatcher) whyIn(queue *waiting, taskID string) string {
	now := d.clock.Now()
	return queue.why(taskID, now, func(r *dispatch.Request) string { return d.cluster.whyNot(r, now) })
}
