package controller

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// Bounds of draining.
const (
	drainTick     = 200 * time.Millisecond
	drainRest     = time.Second      // until a node is looked at again where nothing could move
	movesTogether = 32               // tasks of one node that are under way at once
	promiseAfter  = 10 * time.Second // how long room is kept for a task that has left its node and was not placed there
)

// Drain has the tasks of a node move away, and keeps new ones from it, until Undrain. A task moves when another node has room for it,
// which is kept for it meanwhile; one that finds none goes on where it is. After the deadline the rest moves too, and waits in the queue
// where it must; nil: there is none, zero: now. Every task leaves by its stop ladder, none is cancelled, and it costs none of them
// anything. Those of the node's own workers file stay. It can be repeated, with another deadline.
func (s *NodeService) Drain(ctx context.Context, id string, deadline *time.Duration, who string) (NodeView, error) {
	if deadline != nil && *deadline < 0 {
		return NodeView{}, skalds.Invalid("the drain does not fit", skalds.Field("deadline", "must not be negative: 0s moves all tasks at once"))
	}
	now := s.tasks.now()
	err := s.amend(ctx, id, &AuditEntry{Who: who, Action: "drain"}, func(n *skalds.Node) {
		if !n.Draining {
			n.DrainBegan = now
		}
		n.Draining, n.DrainDeadline = true, 0
		if deadline != nil {
			n.DrainDeadline = now + deadline.Milliseconds()
		}
	})
	if err != nil {
		return NodeView{}, err
	}
	return s.Node(ctx, id)
}

// Undrain lets tasks come to a node again. Those that were told to leave it do.
func (s *NodeService) Undrain(ctx context.Context, id, who string) (NodeView, error) {
	err := s.amend(ctx, id, &AuditEntry{Who: who, Action: "undrain"}, func(n *skalds.Node) {
		n.Draining, n.DrainBegan, n.DrainDeadline = false, 0, 0
	})
	if err != nil {
		return NodeView{}, err
	}
	return s.Node(ctx, id)
}

// DrainForecast is how far a drain is, and what would become of the tasks that are still there: of all of them, where a node is not
// draining.
type DrainForecast struct {
	Left   int // tasks that are still there and are to leave
	Moving int // of those: told to leave
	Stay   int // of its own workers file
	Room   int // of those left that are not moving yet: how many would find room elsewhere now, all together
	NoRoom []NoRoom
}

// NoRoom is a task that no other node could take.
type NoRoom struct {
	TaskID    string
	ClassName string
	Why       string
}

// DrainForecast asks which tasks of a node would find room elsewhere now. It reserves nothing.
func (s *NodeService) DrainForecast(ctx context.Context, id string) (NodeView, DrainForecast, error) {
	if !s.tasks.leads() {
		s.tasks.picture.noOlder(ctx, followersLook)
	}
	v, tasks, err := s.withTasks(ctx, id)
	if err != nil {
		return NodeView{}, DrainForecast{}, err
	}
	out, rest := drainCounts(tasks)
	now := s.tasks.clock.Now()
	var asked []dispatch.Request
	for _, t := range rest {
		if heldBackAfter(t) {
			out.Room++ // it needs none
			continue
		}
		asked = append(asked, requestOf(t, "", now.UnixMilli()))
	}
	for _, p := range s.cluster.forecast(id, asked, now) {
		if p.why == "" {
			out.Room++
		} else {
			out.NoRoom = append(out.NoRoom, NoRoom{p.request.TaskID, p.request.ClassName, p.why})
		}
	}
	return v, out, nil
}

// drainCounts counts them, and lists those that are to leave and were not told yet, the most urgent first. Pure.
func drainCounts(tasks []*skalds.Task) (out DrainForecast, rest []*skalds.Task) {
	for _, t := range tasks {
		switch {
		case !t.LifecycleStatus.OnNode() || t.Executor == "":
		case t.Mode == skalds.ModeActive:
			out.Stay++
		case t.Desired == skalds.DesiredGone:
			out.Left, out.Moving = out.Left+1, out.Moving+1
		default:
			out.Left++
			rest = append(rest, t)
		}
	}
	slices.SortStableFunc(rest, func(a, b *skalds.Task) int { return b.Priority - a.Priority })
	return out, rest
}

// heldBackAfter reports whether a task that is taken off its node waits for somebody to resume it, and needs no room.
func heldBackAfter(t *skalds.Task) bool {
	return t.Desired == skalds.DesiredPaused || t.LifecycleStatus == skalds.Paused && t.Desired != skalds.DesiredRunning
}

// drains moves the tasks of draining nodes. It works in who leads, and belongs to one goroutine.
type drains struct {
	store   TaskStore
	cluster *cluster
	tasks   *TaskService
	clock   Clock
	log     hclog.Logger

	nodes    map[string]*drainingNode
	promises map[string]*promise // by task
}

type drainingNode struct {
	left int // when it was looked at last; below zero: never
	next time.Time
}

// promise is room that is kept for a task.
type promise struct {
	node string    // that it is to leave
	gone time.Time // when it had left; zero: it has not
}

// Run moves tasks until ctx ends.
func (d *drains) Run(ctx context.Context) {
	d.nodes, d.promises = map[string]*drainingNode{}, map[string]*promise{}
	d.cluster.forgetPromises() // of an earlier term
	defer d.cluster.forgetPromises()
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := d.look(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			d.log.Warn("cannot move tasks of a draining node: tried again until it works", "err", err)
		}
		failing = err != nil
		if failing {
			rest(ctx, storePause)
		}
	}
}

// look goes through all draining nodes once.
func (d *drains) look(ctx context.Context) error {
	now := d.clock.Now()
	list := d.cluster.draining()
	still := map[string]bool{}
	var failed error
	for _, n := range list {
		still[n.ID] = true
		m := d.nodes[n.ID]
		if m == nil {
			m = &drainingNode{left: -1}
			d.nodes[n.ID] = m
		}
		due := m.left != 0 && n.DrainDeadline != 0 && now.UnixMilli() >= n.DrainDeadline
		if now.Before(m.next) && !due {
			continue
		}
		moved, err := d.one(ctx, n, m, due)
		if err != nil {
			failed = err
		}
		if m.next = now; moved == 0 {
			m.next = now.Add(drainRest)
		}
	}
	for id := range d.nodes {
		if !still[id] {
			delete(d.nodes, id)
		}
	}
	for id, p := range d.promises {
		if !still[p.node] && p.gone.IsZero() {
			p.gone = now
		}
		if !p.gone.IsZero() && now.Sub(p.gone) > promiseAfter {
			d.release(id)
		}
	}
	return failed
}

// one has the tasks of a node move that can; due says that its deadline is over.
func (d *drains) one(ctx context.Context, n skalds.Node, m *drainingNode, due bool) (moved int, err error) {
	c, cancel := context.WithTimeout(ctx, storeTimeout)
	list, err := d.store.OnNode(c, n.ID)
	cancel()
	if err != nil {
		return 0, err
	}
	counts, rest := drainCounts(list)
	d.left(n.ID, list)
	if counts.Left != m.left {
		switch {
		case counts.Left == 0:
			d.log.Info("node is drained", "node_id", n.ID, "stay", counts.Stay)
		case m.left < 0:
			d.log.Info("node drains", "node_id", n.ID, "left", counts.Left, "stay", counts.Stay)
		}
		m.left = counts.Left
		d.tasks.publishNode(n.ID, skalds.NodeOnline)
	}
	full := map[string]bool{} // shapes of tasks that found no room
	now := d.clock.Now()
	for _, t := range rest {
		if counts.Moving+moved >= movesTogether && !due || ctx.Err() != nil {
			break
		}
		if !heldBackAfter(t) {
			r := requestOf(t, "", now.UnixMilli())
			shape := r.Shape()
			ok := !full[shape] && d.promise(&r, n.ID, now)
			full[shape] = !ok
			if !ok && !due {
				continue
			}
		}
		went, err := d.move(ctx, t)
		if err != nil {
			d.release(t.ID)
			return moved, err
		}
		if went {
			moved++
		}
	}
	return moved, nil
}

// move tells a node to give a task back.
func (d *drains) move(ctx context.Context, seen *skalds.Task) (bool, error) {
	went := false
	_, err := d.tasks.change(ctx, seen.ID, func(t *skalds.Task, _ int64) error {
		if went = t.Executor == seen.Executor && t.Epoch == seen.Epoch && drain(t); !went {
			return errNoChange
		}
		return nil
	})
	if skalds.CodeOf(err) == skalds.CodeNotFound {
		err = nil
	}
	return went && err == nil, err
}

// promise keeps room for a task that is to leave a node.
func (d *drains) promise(r *dispatch.Request, from string, now time.Time) bool {
	to, ok := d.cluster.promise(r, now)
	if ok {
		d.promises[r.TaskID] = &promise{node: from}
		d.tasks.waiting.promise(r.TaskID, to)
	}
	return ok
}

func (d *drains) release(taskID string) {
	if d.promises[taskID] != nil {
		delete(d.promises, taskID)
		d.cluster.unpromise(taskID)
		d.tasks.waiting.promise(taskID, "")
	}
}

// left notes which of the tasks that were promised room have left a node.
func (d *drains) left(node string, there []*skalds.Task) {
	on := map[string]bool{}
	for _, t := range there {
		on[t.ID] = true
	}
	for id, p := range d.promises {
		if p.node == node && !on[id] && p.gone.IsZero() {
			p.gone = d.clock.Now()
		}
	}
}
