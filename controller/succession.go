package controller

import "slices"

// A host that starts counts a higher incarnation, and so does a second host under the same id. What tells them apart is that the
// former one is silent: until that is known nothing of the new one is settled.

// waits reports whether the hello of an incarnation comes too early, because the one before it was heard just now; it is remembered
// then, and asked for again.
func (c *cluster) waits(id string, incarnation int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.member(id)
	m.heir = 0
	if m.original || c.mayCome(m, incarnation) {
		return false
	}
	m.heir = incarnation
	return true
}

// mayCome asks the failure detector. The mutex is held. A controller that has just begun to listen waits for the one that the store
// knows, but for one whose hosts have ended with it.
func (c *cluster) mayCome(m *member, incarnation int64) bool {
	known := int64(0)
	if m.record.LostAt == 0 && !c.cfg.Alone {
		known = m.record.Incarnation
	}
	return c.leases.Succeeds(m.record.ID, incarnation, known)
}

// heirs names the nodes whose hello came too early and would be settled now, each once.
func (c *cluster) heirs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for id, m := range c.nodes {
		if m.heir != 0 && c.mayCome(m, m.heir) {
			m.heir = 0
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// isSettled reports whether what an incarnation says of its node as a whole counts: its hello has been answered, or it is the one
// that is heard.
func (c *cluster) isSettled(id string, incarnation int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return incarnation <= max(c.member(id).record.Incarnation, c.leases.Incarnation(id))
}
