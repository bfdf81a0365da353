package controller

import (
	"slices"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/originals"
)

// Nodes of the Python original in the controller's picture: they have no incarnation, no lease, no partition and no measured
// capacity, and are as alive as the bridge says.

// originalRef is what the classes of such a node are offered in: the version whose protocol it speaks.
const (
	originalName    = "python"
	originalVersion = "0.3.8"
	originalRef     = originalName + "@" + originalVersion
)

// loadOriginal takes in the record of such a node; it is false where it is none, or where one of our hosts has taken its place. The
// mutex is held.
func (c *cluster) loadOriginal(m *member) bool {
	if !m.original && (!m.record.Original || c.isOurs(m)) {
		return false
	}
	m.original = true
	if m.classes == nil {
		m.classes = m.record.Classes
	}
	c.offerOriginal(m)
	return true
}

// offerOriginal brings what such a node offers into the ledger. The mutex is held.
func (c *cluster) offerOriginal(m *member) {
	c.leases.Forget(m.record.ID)
	c.ledger.Original(m.record.ID, c.cfg.OriginalTasks)
	c.ledger.SetWorkers(m.record.ID, []skalds.WorkerInfo{originalWorker(m.classes)})
	c.judge(m.record.ID)
}

func originalWorker(classes []string) skalds.WorkerInfo {
	w := skalds.WorkerInfo{Name: originalName, Version: originalVersion, Classes: make([]skalds.ClassInfo, len(classes))}
	for i, name := range classes {
		w.Classes[i] = skalds.ClassInfo{ClassName: name, Description: "a class of a Python node", Capabilities: []string{"update"}}
	}
	return w
}

// setOriginal takes what the bridge says of such a node; was says whether it was online. A node that one of our hosts runs is
// none, whatever the keys of its former life say: then ok is false.
func (c *cluster) setOriginal(n originals.NodeChange) (was, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.member(n.ID)
	if c.isOurs(m) {
		return false, false
	}
	was = m.online
	m.original, m.online, m.seenAt, m.record.Mode = true, n.Online, n.At, n.Mode
	if n.Classes != nil {
		m.classes = n.Classes
	}
	m.heartbeat = &skalds.Heartbeat{
		NodeID: n.ID, At: n.At.UnixMilli(), Mode: n.Mode, Program: "skalds " + originalVersion + " (Python)", Classes: m.classes, Workers: []string{originalRef},
	}
	c.offerOriginal(m)
	return was, true
}

// sawOriginals takes that heartbeats of such nodes live; it reports whether one that somebody had declared lost does. What is new
// of a node is told beside.
func (c *cluster) sawOriginals(ids []string, now time.Time) (back bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		m := c.nodes[id]
		if m == nil || !m.original || m.seenAt.IsZero() {
			continue
		}
		m.seenAt = now
		if !m.online {
			m.online, back = true, true
			c.judge(id)
		}
	}
	return back
}

// isOurs reports whether one of our hosts is known under the id. The mutex is held.
func (c *cluster) isOurs(m *member) bool {
	return !m.original && (m.record.Incarnation != 0 || c.leases.Incarnation(m.record.ID) != 0)
}

// ours makes a node one of ours whose host is heard: it has taken the place of a Python node of that id. The mutex is held.
func (c *cluster) ours(m *member) {
	if !m.original {
		return
	}
	m.original, m.online, m.heartbeat, m.classes = false, false, nil, nil
	c.ledger.Original(m.record.ID, 0)
	c.ledger.SetWorkers(m.record.ID, c.workers.on(m.record.ID))
}

// isOriginal reports whether a node runs the Python original.
func (c *cluster) isOriginal(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.nodes[id]
	return m != nil && m.original
}

// runsOurs reports whether one of our hosts is known under the id.
func (c *cluster) runsOurs(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.nodes[id]
	return m != nil && c.isOurs(m)
}

// onlyNamed reports whether a node is known by the tasks that the store gives it, and by nothing else: one that writes the keys of
// the original died before this controller came, and processes of it may have outlived it.
func (c *cluster) onlyNamed(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.nodes[id]
	return m != nil && !m.original && !c.isOurs(m) && m.seenAt.IsZero()
}

// originalNode is what is known of such a node, and what of it the store should have.
type originalNode struct {
	record  skalds.Node
	mode    skalds.NodeMode
	classes []string
	online  bool
	seenAt  time.Time // of its last heartbeat, as this controller's clock has it; zero: it was not heard
}

// originalNodes lists such nodes.
func (c *cluster) originalNodes() []originalNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []originalNode
	for _, m := range c.nodes {
		if m.original {
			out = append(out, originalNode{m.record, m.record.Mode, m.classes, m.online, m.seenAt})
		}
	}
	return out
}

// differs reports whether the store has to hear of it.
func (n *originalNode) differs() bool {
	return !n.seenAt.IsZero() && (!n.record.Original || n.online != (n.record.LostAt == 0) || !slices.Equal(n.classes, n.record.Classes))
}

// write brings it into the record.
func (n *originalNode) write(r *skalds.Node) {
	r.ID, r.Original, r.Mode, r.Classes, r.LostAt = n.record.ID, true, n.mode, n.classes, 0
	if !n.online {
		r.LostAt = n.seenAt.UnixMilli()
	} else {
		r.LostBy = ""
	}
	if r.LastHelloAt == 0 {
		r.LastHelloAt = n.seenAt.UnixMilli()
	}
}

// originalWorkers is what such nodes offer, as if it came in plugins. The mutex is held.
func (c *cluster) originalWorkers() []WorkerOnNodes {
	nodes, classes := []string{}, []string{}
	for id, m := range c.nodes {
		if m.original {
			nodes = append(nodes, id)
			classes = append(classes, m.classes...)
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	slices.Sort(nodes)
	slices.Sort(classes)
	return []WorkerOnNodes{{WorkerInfo: originalWorker(slices.Compact(classes)), Nodes: nodes}}
}
