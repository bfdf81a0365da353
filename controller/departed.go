package controller

import (
	"context"
	"errors"
	"time"

	"github.com/skalds-go/skalds"
)

// departed are nodes that were last heard before a time, are lost or have left, and of which people have said nothing that holds for
// their return; each with the revision of its record: 0 where it has none.
func (c *cluster) departed(before time.Time) map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int64{}
	for id, m := range c.nodes {
		r := &m.record
		if m.online || r.Revision != 0 && r.LostAt == 0 && r.LeftAt == 0 || r.Cordoned || len(r.Labels) > 0 {
			continue
		}
		if at := before.UnixMilli(); m.seenAt.Before(before) && max(r.LastHelloAt, r.LostAt, r.LeftAt) < at {
			out[id] = r.Revision
		}
	}
	for id := range c.workers.sets {
		if c.nodes[id] == nil {
			out[id] = 0
		}
	}
	return out
}

// forget takes a node out of the picture whose record of a revision was deleted.
func (c *cluster) forget(id string, revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m := c.nodes[id]; {
	case m == nil:
		c.retire(c.workers.set(id, nil))
		delete(c.workers.sets, id)
	case m.record.Revision == revision:
		c.drop(id, m)
	}
}

// nodes removes those that are gone for good. One that comes back is new.
func (p *pruning) nodes(ctx context.Context, now time.Time) {
	if p.cfg.NodeRetention == 0 {
		return
	}
	c, cancel := context.WithTimeout(ctx, pruneTimeout)
	defer cancel()
	removed := 0
	for id, revision := range p.cluster.departed(now.Add(-p.cfg.NodeRetention)) {
		done, err := p.node(c, id, revision)
		if err != nil {
			p.log.Warn("cannot remove a node that is gone", "node_id", id, "err", err)
			return
		}
		if done {
			removed++
		}
	}
	if removed > 0 {
		p.log.Info("nodes removed that are gone", "nodes", removed)
	}
}

// node removes one, unless it has tasks or its record has changed.
func (p *pruning) node(ctx context.Context, id string, revision int64) (done bool, err error) {
	err = p.cluster.storing(ctx, id, func() error {
		tasks, err := p.store.OnNode(ctx, id)
		if err != nil || len(tasks) > 0 {
			return err
		}
		if err := p.beats.Forget(ctx, id); err != nil { // a last heartbeat that is still there would be taken for a new node
			return err
		}
		err = p.store.DeleteNode(ctx, id, revision)
		if errors.Is(err, skalds.ErrRevision) {
			return nil
		}
		if err == nil {
			done = true
			p.cluster.forget(id, revision)
		}
		return err
	})
	return done, err
}
