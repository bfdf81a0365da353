package originals

import (
	"slices"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// node is one of the original's.
type node struct {
	id        string
	mode      skalds.NodeMode
	beatAt    time.Time
	beats     bool // its heartbeat lived at the last reading
	online    bool
	lost      bool
	classes   []string
	listed    map[string]bool
	listedAt  int64 // by its clock
	lists     int   // how many were read
	counted   int   // so many have to be read before it is known what it runs
	strangers map[string]time.Time
}

// NodeChange is news of a node.
type NodeChange struct {
	ID      string
	Mode    skalds.NodeMode
	Online  bool
	Classes []string
	At      time.Time // of its last heartbeat
}

// expect makes a node known from which something is waited for.
func (b *Bridge) expect(id string, now time.Time) *node {
	n := b.nodes[id]
	if n == nil {
		n = &node{id: id, beatAt: now, listed: map[string]bool{}, strangers: map[string]time.Time{}}
		b.nodes[id] = n
	}
	return n
}

// Expect makes a node known that the store knows: it is lost if it stays silent.
func (b *Bridge) Expect(id string, now time.Time) { b.expect(id, now) }

// Hear takes a reading of all nodes, and tells what is new of them. A node that does not beat and is not known is not worth a
// word: it died before.
func (b *Bridge) Hear(nodes []skalds.OriginalNode, now time.Time) []NodeChange {
	if !b.read.IsZero() && now.Sub(b.read) > b.cfg.Gap {
		b.anew(now)
	}
	b.read = now
	changed := map[string]bool{}
	for _, n := range b.nodes {
		n.beats = false
	}
	for i := range nodes {
		o := &nodes[i]
		if o.Left <= 0 && b.nodes[o.ID] == nil {
			continue
		}
		n := b.expect(o.ID, now)
		if b.hear(n, o, now) {
			changed[o.ID] = true
		}
	}
	for id, n := range b.nodes {
		if !n.lost && now.Sub(n.beatAt) > b.cfg.Lease {
			n.online, n.lost = false, true
			clear(n.listed)
			changed[id] = true
		}
	}
	if b.begun {
		b.begun = false
		for _, n := range b.nodes {
			n.counted = n.lists + 2
		}
	}
	out := make([]NodeChange, 0, len(changed))
	for id := range changed {
		n := b.nodes[id]
		out = append(out, NodeChange{ID: id, Mode: n.mode, Online: n.online, Classes: n.classes, At: n.beatAt})
	}
	slices.SortFunc(out, func(a, c NodeChange) int { return strings.Compare(a.ID, c.ID) })
	return out
}

// hear takes what one node has written.
func (b *Bridge) hear(n *node, o *skalds.OriginalNode, now time.Time) (changed bool) {
	if n.beats = o.Left > 0; n.beats {
		n.beatAt = lastBeat(o.Left, now)
		changed = !n.online
		n.online, n.lost = true, false
	}
	if n.mode != o.Mode {
		n.mode, changed = o.Mode, true
	}
	if o.Classes != nil && !sameSet(n.classes, o.Classes) {
		n.classes, changed = slices.Sorted(slices.Values(o.Classes)), true
	}
	if n.online && o.ListedAt != 0 && o.ListedAt != n.listedAt {
		n.listedAt = o.ListedAt
		n.lists++
		clear(n.listed)
		for _, id := range o.Tasks {
			n.listed[id] = true
		}
		for id := range n.strangers {
			if !n.listed[id] {
				delete(n.strangers, id)
			}
		}
	}
	return changed
}

// lastBeat is when a heartbeat was written that lives for so long.
func lastBeat(left time.Duration, now time.Time) time.Time {
	return now.Add(min(left, skalds.OriginalBeat) - skalds.OriginalBeat)
}

func sameSet(sorted, list []string) bool {
	return slices.Equal(sorted, slices.Sorted(slices.Values(list)))
}

// anew begins all counting anew: nothing was read for a while, and what was not heard meanwhile may have been said.
func (b *Bridge) anew(now time.Time) {
	for _, n := range b.nodes {
		if !n.lost {
			n.beatAt = now
		}
	}
	for _, k := range b.tasks {
		for _, at := range []*time.Time{&k.sentAt, &k.listedAt, &k.beatAt, &k.stopAt, &k.lastAt} {
			if !at.IsZero() {
				*at = now
			}
		}
		if n := b.nodes[k.node]; n != nil {
			k.sentList, k.lastList, k.seenList = n.lists, n.lists, n.lists
		}
	}
	for _, l := range b.leavers {
		l.since, l.list = now, b.nodes[l.node].lists
	}
}

// Online reports whether a node is known and alive.
func (b *Bridge) Online(id string) bool {
	n := b.nodes[id]
	return n != nil && n.online
}

// Beating lists the nodes whose heartbeats lived at the last reading.
func (b *Bridge) Beating() []string {
	var out []string
	for id, n := range b.nodes {
		if n.beats {
			out = append(out, id)
		}
	}
	return out
}

// Nodes lists the ids of all that are known.
func (b *Bridge) Nodes() []string {
	out := make([]string, 0, len(b.nodes))
	for id := range b.nodes {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// Forget removes a node of which nothing is waited for: it is one of ours, or was deleted.
func (b *Bridge) Forget(id string) {
	delete(b.nodes, id)
	for taskID, k := range b.tasks {
		if k.node == id {
			delete(b.tasks, taskID)
		}
	}
	for taskID, l := range b.leavers {
		if l.node == id {
			delete(b.leavers, taskID)
		}
	}
}
