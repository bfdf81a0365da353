package plugins

import (
	"time"

	"github.com/skalds-go/skalds/plugins/procstats"
)

// cpuClock adds up what the processes of a tree use, by one reading of each. It remembers those that it has seen until they
// are reaped: what a process used moves on to a parent that waits for it, at that moment.
type cpuClock struct {
	last    map[procstats.ID]time.Duration
	tree    []procstats.Process // of the last reading, zombies included
	started bool
}

// advance says what the tree has used since the last reading; at the first, nothing. members are those that are known to be
// alive; read fails for a process that is gone.
func (c *cpuClock) advance(members []procstats.ID, read func(procstats.ID) (procstats.Process, error)) time.Duration {
	if c.last == nil {
		c.last = map[procstats.ID]time.Duration{}
	}
	for _, id := range members {
		if _, ok := c.last[id]; !ok {
			c.last[id] = 0
		}
	}
	var gained, gone time.Duration
	c.tree = c.tree[:0]
	for id, before := range c.last {
		p, err := read(id)
		if err != nil {
			gone += before
			delete(c.last, id)
			continue
		}
		c.tree = append(c.tree, p)
		gained += max(0, p.CPU-before)
		c.last[id] = max(before, p.CPU)
	}
	if !c.started {
		c.started = true
		return 0
	}
	if gained >= gone { // a parent in the tree has waited for them: what they had used is counted a second time
		return gained - gone
	}
	return gained // nobody in the tree has
}

// readProcess reads a process if it still is the one that was seen.
func readProcess(id procstats.ID) (procstats.Process, error) {
	p, err := procstats.Read(id.PID)
	if err == nil && p.ID != id {
		err = errGone
	}
	return p, err
}
