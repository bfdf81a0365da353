package controller

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// Bounds of asking for hellos. An answer costs the store several questions, so that a leader that begins, who has to greet all nodes
// anew, must not ask faster than it answers.
const (
	helloRoom     = 32              // nodes that are asked at a time
	helloPatience = 2 * time.Second // that a node which does not answer keeps its place
	helloBehind   = time.Second / 2 // that reports may wait: then no more than one node is asked at a time, since its hello waits behind them
)

// wantsHello names the nodes that live, have not said hello in this life of the controller, and whose turn it is to be asked: those
// first that were asked least, and again after two seconds at first, then less often.
func (c *cluster) wantsHello(now time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := helloRoom
	if !c.waitingSince.IsZero() && now.Sub(c.waitingSince) > helloBehind {
		room = 1 // not none: they might wait always
	}
	var turn []*member
	for id, m := range c.nodes {
		if !m.online || m.original || m.greeted != 0 && m.greeted == c.leases.Incarnation(id) {
			continue
		}
		if m.asked > 0 && now.Sub(m.askedAt) < helloPatience {
			room--
			continue
		}
		if m.asked == 0 || now.Sub(m.askedAt) >= min(2*time.Second<<min(m.asked, 4), 30*time.Second) {
			turn = append(turn, m)
		}
	}
	slices.SortFunc(turn, func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.asked, b.asked), a.askedAt.Compare(b.askedAt), cmp.Compare(a.record.ID, b.record.ID))
	})
	var out []string
	for _, m := range turn[:min(len(turn), max(room, 0))] {
		m.asked++
		m.askedAt = now
		out = append(out, m.record.ID)
	}
	return out
}

// greet notes an answered hello; the node may get tasks from now on. It reports whether nothing was heard of what this incarnation has.
func (c *cluster) greet(id string, incarnation int64, now time.Time) (unmeasured bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.member(id)
	m.greeted = incarnation
	c.leases.Greeted(id, incarnation, now)
	if m.greeted == c.leases.Incarnation(id) { // else its heartbeats are late, and it is asked again in its turn
		m.asked = 0
	}
	c.judge(id)
	return m.heartbeat == nil || m.heartbeat.Incarnation != incarnation
}

// distrust has a node say hello again, because something that it said was lost; it gets no new task before.
func (c *cluster) distrust(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.nodes[id]; m != nil {
		m.greeted = 0
		c.judge(id)
	}
}

// saidHello takes a hello that changes nothing of a node's stored record but the time of it, which is not worth a writing; it is false
// where more changes.
func (c *cluster) saidHello(id string, change func(*skalds.Node)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.member(id)
	n := m.record
	change(&n)
	at := n.LastHelloAt
	n.LastHelloAt = m.record.LastHelloAt
	if n.Revision == 0 || n.LastHelloAt == 0 || !reflect.DeepEqual(n, m.record) {
		return false
	}
	m.record.LastHelloAt = at
	return true
}
