package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/originals"
)

// Bounds of the bridge to nodes of the Python original.
const (
	originalPeriod  = time.Second     // of reading what they write
	originalSweep   = 3 * time.Second // of comparing with the store
	originalTimeout = 5 * time.Second // of one step
	originalWriters = 8               // conclusions that are stored side by side
)

// originalNodes drives nodes of the Python original: what package originals concludes is brought into the store, and what it says
// is due is sent. Every controller watches the nodes; only the leader drives.
type originalNodes struct {
	store   Store
	keys    OriginalStore
	events  Bus
	cluster *cluster
	tasks   *TaskService
	retry   int // TASK_WORKER_RETRY
	leads   func() bool
	clock   Clock
	log     hclog.Logger

	round chan struct{} // the nodes were read
	wake  chan struct{} // something is to be sent

	mu      sync.Mutex // guards all below
	bridge  *originals.Bridge
	coming  map[string]originals.Origin // by task: how it comes to a node, while that is being stored
	driving bool
	since   time.Time // that this controller drives
	read    bool      // the nodes were read since then

	swept  time.Time // belongs to Drive
	silent bool      // belongs to Drive: the events cannot be sent, said once
}

// newOriginalNodes is nil where such nodes are not wanted, or the heartbeat store cannot serve them.
func newOriginalNodes(cfg Config, store Store, bus Bus, beats HeartbeatStore, c *cluster, tasks *TaskService, leads func() bool, clock Clock, log hclog.Logger) *originalNodes {
	keys, ok := beats.(OriginalStore)
	if !cfg.Originals || !ok {
		return nil
	}
	return &originalNodes{
		store: store, keys: keys, events: bus, cluster: c, tasks: tasks, retry: cfg.TaskWorkerRetry, leads: leads, clock: clock, log: log,
		round: make(chan struct{}, 1), wake: make(chan struct{}, 1), bridge: originals.New(originals.DefaultConfig()), coming: map[string]originals.Origin{},
	}
}

// Watch reads what the nodes write about themselves until ctx ends.
func (o *originalNodes) Watch(ctx context.Context) error {
	tick := time.NewTicker(originalPeriod)
	defer tick.Stop()
	failing := false
	for {
		c, cancel := context.WithTimeout(ctx, originalTimeout)
		nodes, err := o.keys.OriginalNodes(c)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			failing = true
			o.log.Warn("cannot read what Python nodes write: nothing is concluded until it can be read", "err", err)
		case err == nil:
			if failing {
				failing = false
				o.log.Info("what Python nodes write can be read again")
			}
			o.hear(nodes)
			poke(o.round)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// hear brings news of the nodes into the picture.
func (o *originalNodes) hear(nodes []skalds.OriginalNode) {
	o.mu.Lock()
	now := o.clock.Now()
	for _, n := range o.cluster.originalNodes() {
		if n.record.LostAt == 0 {
			o.bridge.Expect(n.record.ID, now)
		}
	}
	for i := range nodes {
		if o.cluster.onlyNamed(nodes[i].ID) {
			o.bridge.Expect(nodes[i].ID, now)
		}
	}
	changes := o.bridge.Hear(nodes, now)
	o.read = true
	beating := o.bridge.Beating()
	for _, id := range o.bridge.Nodes() {
		if o.cluster.runsOurs(id) {
			o.bridge.Forget(id)
		}
	}
	o.mu.Unlock()
	freed := o.cluster.sawOriginals(beating, now)
	for _, n := range changes {
		was, ok := o.cluster.setOriginal(n)
		switch {
		case !ok || was == n.Online:
		case n.Online:
			o.log.Info("Python node is heard", "node_id", n.ID, "classes", n.Classes)
			o.announce(n.ID, skalds.NodeOnline)
		default:
			o.log.Warn("Python node is lost", "node_id", n.ID)
			o.announce(n.ID, skalds.NodeOffline)
		}
		freed = freed || ok && n.Online
	}
	if freed {
		o.tasks.dispatcher.freed()
	}
}

func (o *originalNodes) announce(id, status string) {
	if o.leads() {
		o.tasks.publishNode(id, status)
	}
}

// Drive decides about the tasks on such nodes until ctx ends.
func (o *originalNodes) Drive(ctx context.Context) error {
	o.mu.Lock()
	o.driving, o.since, o.read = true, o.clock.Now(), false
	o.bridge.Begin()
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.driving = false
		o.bridge.Clear()
	}()
	o.swept = time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		case <-o.round:
			if now := o.clock.Now(); now.Sub(o.swept) >= originalSweep {
				o.swept = now
				o.sweep(ctx)
			}
			o.judge(ctx)
		}
		o.send(ctx)
	}
}

// follow hears of every stored change, whichever controller has made it.
func (o *originalNodes) follow(t *skalds.Task) {
	is := o.drives(t)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.driving || o.bridge.Epoch(t.ID) > t.Epoch { // of two changes at once the later one may be heard of first
		return
	}
	now := o.clock.Now()
	if is {
		origin, ok := o.coming[t.ID]
		if !ok {
			origin = originals.Loaded
		}
		o.bridge.Hold(t, origin, now)
	} else {
		// One that is to run anew has not left where it was cancelled and retried before this was heard.
		again := t.LifecycleStatus == skalds.Created && !o.bridge.Free(t.ID)
		o.bridge.Release(t.ID, again || t.LifecycleStatus == skalds.Cancelled, now)
	}
	poke(o.wake)
}

// comes notes how a task comes to a node while do stores that.
func (o *originalNodes) comes(taskID string, origin originals.Origin, do func() error) error {
	o.mu.Lock()
	o.coming[taskID] = origin
	o.mu.Unlock()
	err := do()
	o.mu.Lock()
	delete(o.coming, taskID)
	o.mu.Unlock()
	return err
}

// drives reports whether a task is one of such a node.
func (o *originalNodes) drives(t *skalds.Task) bool {
	return t.Executor != "" && t.LifecycleStatus.OnNode() && o.cluster.isOriginal(t.Executor)
}

// sweep compares the picture with the store: what was there before, and what other controllers and scripts have written.
func (o *originalNodes) sweep(ctx context.Context) {
	for _, n := range o.cluster.originalNodes() {
		if err := errors.Join(o.sweepNode(ctx, n.record.ID), o.saveNode(ctx, &n)); err != nil && ctx.Err() == nil {
			o.log.Warn("cannot compare a Python node with the store: tried again", "node_id", n.record.ID, "err", err)
		}
	}
}

func (o *originalNodes) sweepNode(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, originalTimeout)
	defer cancel()
	begun := o.clock.Now()
	list, err := o.store.OnNode(ctx, id)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(list))
	o.mu.Lock()
	for _, t := range list {
		there[t.ID] = true
		if o.drives(t) {
			o.bridge.Hold(t, originals.Loaded, begun)
		}
	}
	held := o.bridge.Held(id, begun)
	o.mu.Unlock()
	var errs []error
	for _, taskID := range held {
		if !there[taskID] {
			errs = append(errs, o.look(ctx, taskID, id))
		}
	}
	return errors.Join(errs...)
}

// look settles from the store what is to be made of a task that a node has, or had.
func (o *originalNodes) look(ctx context.Context, taskID, nodeID string) error {
	t, err := o.store.Task(ctx, taskID)
	if err != nil && !errors.Is(err, skalds.ErrNotFound) {
		return err
	}
	if t != nil && t.LifecycleStatus == skalds.Created && t.Executor == nodeID {
		_, err := o.adopt(ctx, t)
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.clock.Now()
	switch {
	case t != nil && t.Executor == nodeID && o.drives(t):
		o.bridge.Hold(t, originals.Loaded, now)
	case t != nil && t.Executor == nodeID: // of its own file, and has ended
	case t == nil:
		o.bridge.Release(taskID, true, now)
	default:
		o.log.Info("a Python node runs a task that is not its own any more: it is told to end it", "task_id", taskID, "node_id", nodeID, "state", t.LifecycleStatus, "executor", t.Executor)
		o.bridge.Release(taskID, true, now)
		o.bridge.Expel(taskID, nodeID, now)
	}
	return nil
}

// saveNode stores what must outlive this controller of such a node, where it has changed.
func (o *originalNodes) saveNode(ctx context.Context, n *originalNode) error {
	if !n.differs() {
		return nil
	}
	_, err := o.tasks.picture.saveNode(ctx, o.store, n.record.ID, n.write)
	return err
}

// judge draws conclusions from what workers have written, and stores them.
func (o *originalNodes) judge(ctx context.Context) {
	o.mu.Lock()
	asked := o.bridge.Ask()
	o.mu.Unlock()
	ids := make([]string, len(asked))
	for i, a := range asked {
		ids[i] = a.TaskID
	}
	read := map[string]skalds.OriginalTask{}
	if len(ids) > 0 {
		c, cancel := context.WithTimeout(ctx, originalTimeout)
		defer cancel()
		var err error
		if read, err = o.keys.OriginalTasks(c, ids); err != nil {
			if ctx.Err() == nil {
				o.log.Warn("cannot read what Python workers write", "err", err)
			}
			return
		}
	}
	o.mu.Lock()
	actions := o.bridge.Judge(asked, read, o.clock.Now())
	o.mu.Unlock()
	work := make(chan originals.Action)
	var wg sync.WaitGroup
	for range min(originalWriters, len(actions)) {
		wg.Go(func() {
			for a := range work {
				o.apply(ctx, a)
			}
		})
	}
	for _, a := range actions {
		work <- a
	}
	close(work)
	wg.Wait()
}

// apply brings one conclusion into the store. What the store does not take is concluded again.
func (o *originalNodes) apply(ctx context.Context, a originals.Action) {
	ctx, cancel := context.WithTimeout(ctx, originalTimeout)
	defer cancel()
	var err error
	switch a.Kind {
	case originals.Stranger:
		err = o.look(ctx, a.TaskID, a.NodeID)
	case originals.Runs:
		_, err = o.tasks.change(ctx, a.TaskID, func(t *skalds.Task, now int64) error {
			if t.Executor != a.NodeID || t.Epoch != a.Epoch || !originalRuns(t, a.Revision, now) {
				return errNoChange
			}
			return nil
		})
	default:
		err = o.end(ctx, a)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, skalds.ErrNotFound) {
		o.log.Warn("cannot store what a Python node has made of a task: tried again", "task_id", a.TaskID, "node_id", a.NodeID, "err", err)
	}
}

// end brings the end of a run into the store: first its record, then the task.
func (o *originalNodes) end(ctx context.Context, a originals.Action) error {
	if exit := originalExit(a); exit != nil {
		if err := o.record(ctx, a, exit); err != nil {
			return err
		}
	}
	t, err := o.tasks.change(ctx, a.TaskID, func(t *skalds.Task, now int64) error {
		if !originalEnded(t, a, o.retry, now) {
			return errNoChange
		}
		return nil
	})
	if err == nil && t.Quarantined != "" {
		o.log.Error("task is in quarantine", "task_id", t.ID, "reason", t.Quarantined)
	}
	return err
}

// record writes down how a run ended. One that is recorded already stays as it is.
func (o *originalNodes) record(ctx context.Context, a originals.Action, exit *skalds.Exit) error {
	t, err := o.store.Task(ctx, a.TaskID)
	if err != nil {
		return err
	}
	if t.Executor != a.NodeID || t.Epoch != a.Epoch || t.Phase == skalds.PhaseStopping || !t.LifecycleStatus.OnNode() {
		return nil
	}
	now := o.clock.Now().UnixMilli()
	began := t.StartedAt
	if began == 0 {
		began = now
	}
	return o.store.PutOutcome(ctx, skalds.Outcome{
		OutcomeKey: skalds.OutcomeKey{TaskID: t.ID, Epoch: t.Epoch, Attempt: max(t.Attempt, 1), Kind: skalds.OutcomeExit},
		Exit: &skalds.Attempt{
			TaskID: t.ID, Epoch: t.Epoch, Attempt: max(t.Attempt, 1), Node: a.NodeID, Version: originalRef, StartedAt: began, EndedAt: now, Exit: exit,
		},
	})
}

// send sends what is due.
func (o *originalNodes) send(ctx context.Context) {
	o.mu.Lock()
	due := o.bridge.Sends(o.clock.Now())
	o.mu.Unlock()
	for _, s := range due {
		if ctx.Err() != nil || !o.tasks.leads() {
			return
		}
		now := o.clock.Now().UnixMilli()
		c, cancel := context.WithTimeout(ctx, originalTimeout)
		err := o.events.PublishEvent(c, s.Topic, s.TaskID, skalds.TaskEvent{TaskIDs: []string{s.TaskID}, CreateDateTime: now, UpdateDateTime: now})
		cancel()
		if err != nil {
			if !o.silent && ctx.Err() == nil {
				o.silent = true
				o.log.Warn("cannot send events to Python nodes: tried again until it works", "topic", s.Topic, "task_id", s.TaskID, "err", err)
			}
			return // in order, with the next round
		}
		o.silent = false
		o.mu.Lock()
		o.bridge.Sent(s, o.clock.Now())
		o.mu.Unlock()
		o.log.Debug("event sent", "topic", s.Topic, "task_id", s.TaskID, "node_id", s.NodeID, "epoch", s.Epoch)
		if s.Topic == skalds.TopicTaskUpdate {
			o.updated(ctx, s)
		}
	}
}

// updated notes that a node was told of what is desired: it answers nothing, so that this counts as done.
func (o *originalNodes) updated(ctx context.Context, s originals.Send) {
	_, err := o.tasks.change(ctx, s.TaskID, func(t *skalds.Task, _ int64) error {
		if t.Executor != s.NodeID || t.Epoch != s.Epoch || t.AckedRevision >= s.Revision {
			return errNoChange
		}
		t.AckedRevision = s.Revision
		return nil
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, skalds.ErrNotFound) {
		o.log.Warn("cannot store that a Python node was told of an update: it is told again by the next leader", "task_id", s.TaskID, "err", err)
	}
}

// handOut stores, by do, that a task is such a node's. Before that it removes what former runs have left, so that whatever is found
// later is of this one.
func (o *originalNodes) handOut(ctx context.Context, taskID string, do func() error) error {
	if !o.tasks.leads() {
		return errNotLeader
	}
	c, cancel := context.WithTimeout(ctx, originalTimeout)
	err := o.keys.ForgetOriginalTasks(c, taskID)
	cancel()
	if err != nil {
		return err
	}
	return o.comes(taskID, originals.Handed, do)
}

// adoptPatience is how long a task waits for the node that a script has named before it is placed like all others.
const adoptPatience = 15 * time.Second

// adopt takes in a task that a script has put into the store for a certain node, which it tells by itself. It is false where
// nothing is known of that node: the task is then placed like all others.
func (o *originalNodes) adopt(ctx context.Context, t *skalds.Task) (bool, error) {
	node := t.Executor
	o.mu.Lock()
	online, read := o.bridge.Online(node), o.read
	o.mu.Unlock()
	if !online {
		return !read || o.clock.Now().Sub(time.UnixMilli(t.UpdateDateTime)) < adoptPatience, nil
	}
	err := o.comes(t.ID, originals.Adopted, func() error {
		_, err := o.tasks.change(ctx, t.ID, func(t *skalds.Task, _ int64) error {
			if t.LifecycleStatus != skalds.Created || t.Executor != node || !handOut(t, node) {
				return errNoChange
			}
			return nil
		})
		return err
	})
	if err == nil {
		o.log.Info("task of a script is adopted", "task_id", t.ID, "node_id", node)
	}
	return true, err
}
