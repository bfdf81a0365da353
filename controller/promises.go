package controller

import (
	"slices"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// draining lists the nodes whose tasks are to move away and that are there to hear of it, by id.
func (c *cluster) draining() []skalds.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []skalds.Node
	for _, m := range c.nodes {
		if m.record.Draining && m.online && (m.greeted != 0 || m.original) {
			out = append(out, m.record)
		}
	}
	slices.SortFunc(out, func(a, b skalds.Node) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// promise keeps room for a task elsewhere; it is false where there is none.
func (c *cluster) promise(r *dispatch.Request, now time.Time) (node string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.ledger.Promise(r, now)
	return v.NodeID, ok
}

func (c *cluster) unpromise(taskID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Unpromise(taskID)
}

func (c *cluster) forgetPromises() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.ForgetPromises()
}

// prospect is what would become of a task.
type prospect struct {
	request dispatch.Request
	why     string // it finds no room; empty: it does
}

// forecast tries which of the tasks would find room on other nodes, all together, and keeps nothing.
func (c *cluster) forecast(node string, tasks []dispatch.Request, now time.Time) []prospect {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Block(node, "is draining", true)
	defer c.judge(node)
	out := make([]prospect, 0, len(tasks))
	full := map[string]string{} // why, by shape
	for i := range tasks {
		r := &tasks[i]
		p := prospect{request: *r}
		shape := r.Shape()
		if p.why = full[shape]; p.why == "" {
			if c.ledger.Promised(r.TaskID) != "" {
				// it is about to be told
			} else if _, ok := c.ledger.Promise(r, now); ok {
				defer c.ledger.Unpromise(r.TaskID)
			} else {
				p.why = c.ledger.WhyNot(r, now)
				full[shape] = p.why
			}
		}
		out = append(out, p)
	}
	return out
}
