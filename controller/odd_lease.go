package controller

import (
	"fmt"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// leaseSetting is where a lease is set, as problems of nodes name it.
const leaseSetting = "SKALDS_LEASE"

// oddLease is the problem of a node whose host takes its lease for another length than this controller, both in milliseconds: with a
// longer one it runs what is handed elsewhere already, with a shorter one it ends what it might keep.
func oddLease(there, here int64) skalds.NodeProblem {
	return skalds.NodeProblem{Path: leaseSetting, Reason: fmt.Sprintf(
		"its host has a lease of %s, the controller one of %s: set the same on all hosts and controllers, and restart those that differ",
		time.Duration(there)*time.Millisecond, time.Duration(here)*time.Millisecond,
	)}
}

// oddLeases names the nodes whose lease differs and was not complained about yet.
func (c *cluster) oddLeases() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out map[string]string
	for id, m := range c.nodes {
		i := -1
		if m.online && m.heartbeat != nil {
			i = slices.IndexFunc(m.heartbeat.Problems, func(p skalds.NodeProblem) bool { return p.Path == leaseSetting })
		}
		if i < 0 {
			m.oddLease = false
			continue
		}
		if m.oddLease {
			continue
		}
		m.oddLease = true
		if out == nil {
			out = map[string]string{}
		}
		out[id] = m.heartbeat.Problems[i].Reason
	}
	return out
}
