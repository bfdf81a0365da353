package controller

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/skalds-go/skalds"
)

// turns lets one at a time work on the record of a node; few of them share a turn.
type turns []chan struct{}

func newTurns() turns {
	t := make(turns, 64)
	for i := range t {
		t[i] = make(chan struct{}, 1)
	}
	return t
}

func (t turns) of(id string) chan struct{} {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return t[h.Sum32()%uint32(len(t))]
}

// inTurn does something while it has the token.
func inTurn(ctx context.Context, token chan struct{}, do func() error) error {
	select {
	case token <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-token }()
	return do()
}

// storing does what reads the record of a node, stores it changed, and brings the change into the picture: one at a time for a node,
// so that no older record is stored over a newer one.
func (c *cluster) storing(ctx context.Context, id string, do func() error) error {
	return inTurn(ctx, c.records.of(id), do)
}

// revisions are those of the records that are known.
func (c *cluster) revisions() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]int64, len(c.nodes))
	for id, m := range c.nodes {
		out[id] = m.record.Revision
	}
	return out
}

// load takes in what the store knows, and returns the nodes that somebody has declared lost elsewhere since the last time. Workers are
// nil where they were not read. A record that was stored after the reading began, when the revisions were those of before, is not
// replaced by an older one. Whether a node said hello is known here only where this controller answered it, or, as long as another
// leads, by its record.
func (c *cluster) load(nodes []skalds.Node, workers *offers, before map[string]int64, now time.Time) (declared []skalds.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.workers
	if workers != nil {
		c.exchange(workers)
	}
	for i := range nodes {
		n := &nodes[i]
		m := c.member(n.ID)
		was, wasLeft, fresh := m.record.LostAt, m.record.LeftAt, m.record.Revision == 0
		if c.isNews(m, n, before[n.ID]) {
			if !fresh && n.LostBy != "" && (n.LostAt != was || n.LostBy != m.record.LostBy) {
				declared = append(declared, *n)
			}
			m.record = *n
			c.ledger.SetLabels(n.ID, n.Labels)
		}
		if c.loadOriginal(m) {
			continue
		}
		lost := m.record.LostAt
		switch {
		case lost == 0 && m.record.LeftAt != 0: // its silence is no loss
			if m.record.LeftAt != wasLeft {
				c.leases.Goodbye(n.ID, m.record.Incarnation) // its late heartbeats mean nothing here either
				m.online = m.online && c.leases.Alive(n.ID)
			}
		case lost == 0:
			c.leases.Watch(n.ID, now)
		case lost != was || m.seenAt.UnixMilli() < lost: // declared lost by another, whose clock may be another
			m.online, m.greeted, m.asked = false, 0, 0
		}
		if !c.leads {
			m.greeted = m.record.Incarnation
		}
		if fresh || !known.same(c.workers, n.ID) {
			c.ledger.SetWorkers(n.ID, c.workers.on(n.ID))
		}
		c.judge(n.ID)
	}
	c.dropMissing(nodes, before)
	return declared
}

// isNews reports whether the store has another record of a node than the one that is known. The mutex is held.
func (c *cluster) isNews(m *member, n *skalds.Node, before int64) bool {
	switch known := m.record.Revision; {
	case n.Revision == 0:
		return true // of before they were counted
	case n.Revision == known:
		return false
	case known != before:
		return n.Revision > known
	}
	return true // a lower one, too: the store was set back
}

// exchange replaces all that is known of plugins. The mutex is held.
func (c *cluster) exchange(workers *offers) {
	var gone []*skalds.WorkerInfo
	for _, p := range c.workers.list {
		if _, still := find(workers.list, p.info); !still {
			gone = append(gone, p.info)
		}
	}
	c.workers = workers
	c.retire(gone)
}

// missesWorkers reports whether the records of nodes name other plugins than are known of them.
func (c *cluster) missesWorkers(nodes []skalds.Node) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make(map[*skalds.WorkerInfo]string, len(c.workers.list))
	for i := range nodes {
		n := &nodes[i]
		set := c.workers.sets[n.ID]
		if n.Original {
			continue
		}
		if len(set) != len(n.Workers) {
			return true
		}
		for i, w := range set { // both in the order of lastOfEach
			if names[w] == "" {
				names[w] = w.Ref() + "@" + w.Digest
			}
			if names[w] != n.Workers[i] {
				return true
			}
		}
	}
	return false
}

// isLeading reports whether this controller answers hellos.
func (c *cluster) isLeading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leads
}

// dropMissing forgets nodes of which the store has no record any more, though it had when it began to be read. The mutex is held.
func (c *cluster) dropMissing(nodes []skalds.Node, before map[string]int64) {
	if len(nodes) >= len(c.nodes) {
		return
	}
	there := make(map[string]bool, len(nodes))
	for i := range nodes {
		there[nodes[i].ID] = true
	}
	for id, m := range c.nodes {
		if !there[id] && m.record.Revision != 0 && m.record.Revision == before[id] {
			c.drop(id, m)
		}
	}
}

// drop forgets a node, but for what is heard of one that lives. The mutex is held.
func (c *cluster) drop(id string, m *member) {
	if m.online && c.leases.Alive(id) && !c.leases.Overdue(id) { // one that does not lead declares nobody lost: online alone may be old
		m.record = skalds.Node{ID: id, Mode: m.record.Mode}
		return
	}
	delete(c.nodes, id)
	c.leases.Forget(id)
	c.ledger.Forget(id)
	c.retire(c.workers.set(id, nil))
	delete(c.workers.sets, id)
}
