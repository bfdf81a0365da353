package controller

import (
	"context"
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
	all  int // when it was looked at first
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
			d.log.Info("node is drained", "node_id", n.ID, "tasks", m.all, "stay", counts.Stay)
		case m.left < 0:
			d.log.Info("node drains", "node_id", n.ID, "left", counts.Left, "stay", counts.Stay)
		}
		m.all, m.left = max(m.all, counts.Left), counts.Left
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
