package controller

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// desk answers the messages of hosts that are about more than one task's state: hellos, entries of workers files,
// farewells.
type desk struct {
	store   Store
	cluster *cluster
	tasks   *TaskService
	outbox  *outbox
	watch   *nodeWatch
	log     hclog.Logger
	past    past

	mu      sync.Mutex               // guards partial; messages of one node come one after the other
	partial map[string]*partialHello // hellos that have come in part, by node
}

type partialHello struct {
	incarnation int64
	number      int64
	next        int
	hello       skalds.Hello
}

func newDesk(store Store, c *cluster, tasks *TaskService, o *outbox, w *nodeWatch, log hclog.Logger) *desk {
	return &desk{store: store, cluster: c, tasks: tasks, outbox: o, watch: w, log: log, partial: map[string]*partialHello{}}
}

// take handles one message. It is called again with the same one where it fails.
func (d *desk) take(ctx context.Context, m skalds.HostMessage) error {
	switch {
	case m.NodeID == "":
		return nil
	case m.Hello != nil:
		h, whole := d.join(m)
		if !whole {
			return nil
		}
		if d.cluster.isOutdated(m.NodeID, m.Incarnation) {
			d.settled(m.NodeID)
			return nil // of a former self: the hello of the present one settles everything
		}
		if d.cluster.waits(m.NodeID, m.Incarnation) {
			d.log.Info("a hello waits until the host before is silent", "node_id", m.NodeID, "incarnation", m.Incarnation)
			d.settled(m.NodeID)
			return nil
		}
		if err := d.hello(ctx, origin{m.NodeID, m.Incarnation}, h); err != nil {
			return err
		}
		d.settled(m.NodeID)
		return nil
	case m.Edge != nil:
		return d.edge(ctx, m.NodeID, m.Edge)
	case m.Gone != nil:
		return d.gone(ctx, origin{m.NodeID, m.Incarnation}, m.Gone)
	case m.Bye:
		return d.bye(ctx, origin{m.NodeID, m.Incarnation})
	}
	return nil
}

// settled forgets the parts of a hello.
func (d *desk) settled(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.partial, node)
}

// join puts the parts of a hello together. Parts come in order; a new first part begins anew. Where one is missing the node
// is asked for another hello, though an earlier one was answered: this one may say what has changed since.
func (d *desk) join(m skalds.HostMessage) (skalds.Hello, bool) {
	h := *m.Hello
	if h.Parts <= 1 {
		return h, true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.partial[m.NodeID]
	switch {
	case h.Part == 1:
		p = &partialHello{incarnation: m.Incarnation, number: h.Number, next: 2, hello: h}
		d.partial[m.NodeID] = p
	case p == nil || p.incarnation != m.Incarnation || p.number != h.Number || h.Part > p.next:
		delete(d.partial, m.NodeID)
		if m.Incarnation < d.cluster.incarnation(m.NodeID) {
			return skalds.Hello{}, false // of a former self
		}
		d.log.Warn("a part of a hello is missing: the node is asked for another one", "node_id", m.NodeID, "part", h.Part)
		d.cluster.distrust(m.NodeID)
		return skalds.Hello{}, false
	case h.Part == p.next:
		p.hello.Tasks = append(p.hello.Tasks, h.Tasks...)
		p.hello.Workers = append(p.hello.Workers, h.Workers...)
		p.next++
	}
	return p.hello, p.next > h.Parts
}

// gone takes back at once what is known to be dead on a node whose host has died or fallen silent. What was not named waits for
// another word, the node's next hello, or the end of its lease.
func (d *desk) gone(ctx context.Context, from origin, g *skalds.HostGone) error {
	known, was := d.cluster.hostGone(from.node, from.incarnation, g.Silent, d.tasks.clock.Now())
	if !known {
		return nil // of a former self: the hello of the present one settles what it left
	}
	if was {
		d.log.Warn("the host of a node is gone", "node_id", from.node, "incarnation", from.incarnation, "silent", g.Silent, "dead", len(g.Tasks))
		d.tasks.publishNode(from.node, skalds.NodeOffline)
	}
	var errs []error
	var moved []string
	for _, dead := range g.Tasks {
		was, err := d.instanceGone(ctx, from.node, dead, g.Silent)
		if was {
			moved = append(moved, dead.TaskID)
		}
		if !errors.Is(err, skalds.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	logTakenBack(d.log, from.node, moved, "its host is gone, and their processes are dead")
	return errors.Join(errs...)
}

// instanceGone settles one task whose process is dead, and reports whether it was running there.
func (d *desk) instanceGone(ctx context.Context, node string, dead skalds.GoneTask, silent bool) (moved bool, err error) {
	var before *skalds.Task
	t, err := d.tasks.change(ctx, dead.TaskID, func(t *skalds.Task, now int64) error {
		before = t.Clone()
		if !instanceDead(t, node, dead.Epoch, silent, now) {
			return errNoChange
		}
		return nil
	})
	if err != nil || t.Revision == before.Revision || before.Epoch != dead.Epoch || !before.LifecycleStatus.OnNode() {
		return false, err
	}
	d.tasks.recordLoss(ctx, before, t.LastExit)
	if t.Quarantined != "" {
		d.log.Error("task is in quarantine", "task_id", t.ID, "reason", t.Quarantined)
	}
	return true, nil
}

// left stores that a node has left, so that whoever leads next does not take its silence for a loss. One that was never greeted has no
// record.
func (d *desk) left(ctx context.Context, from origin) error {
	if d.cluster.nodeRecord(from.node).Revision == 0 {
		return nil
	}
	now := d.tasks.now()
	_, err := d.tasks.picture.saveNode(ctx, d.store, from.node, func(n *skalds.Node) {
		n.ID, n.Incarnation, n.LeftAt, n.LostAt = from.node, from.incarnation, now, 0
	})
	return err
}

// bye takes a node off that has stopped in good order. It gave its tasks back before; one that it never received is taken
// back here.
func (d *desk) bye(ctx context.Context, from origin) error {
	if d.cluster.incarnation(from.node) != from.incarnation {
		return nil // of a former self: the hello of the present one settles what it left; or of one that was never taken on
	}
	d.cluster.goodbye(from.node, from.incarnation)
	d.cluster.silent(from.node, 0)
	if err := d.left(ctx, from); err != nil {
		return err
	}
	tasks, err := d.store.OnNode(ctx, from.node)
	if err != nil {
		return err
	}
	var errs []error
	var moved []string
	stay := 0
	for _, t := range tasks {
		took := false
		_, err := d.tasks.change(ctx, t.ID, func(t *skalds.Task, now int64) error {
			took = t.Executor == from.node && t.LifecycleStatus.OnNode() && t.Mode != skalds.ModeActive
			if !took {
				return errNoChange
			}
			toCreated(t, now)
			return nil
		})
		switch {
		case took && err == nil:
			moved = append(moved, t.ID)
		case t.Mode == skalds.ModeActive:
			stay++
		}
		if !errors.Is(err, skalds.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	d.log.Info("node has left", "node_id", from.node, "stay", stay)
	logTakenBack(d.log, from.node, moved, "it has left without having had them")
	d.tasks.publishNode(from.node, skalds.NodeOffline)
	return errors.Join(errs...)
}
