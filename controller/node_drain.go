package controller

import (
	"context"
	"time"

	"github.com/skalds-go/skalds"
)

// Drain has the tasks of a node move away, and keeps new ones from it, until Undrain. A task moves when another node has room for it,
// which is kept for it meanwhile; one that finds none goes on where it is. After the deadline the rest moves too, and waits in the queue
// where it must; nil: there is none, zero: now. Every task leaves by its stop ladder, none is cancelled, and it costs none of them
// anything. Those of the node's own workers file stay. It can be repeated, with another deadline.
func (s *NodeService) Drain(ctx context.Context, id string, deadline *time.Duration, who string) (NodeView, error) {
	if deadline != nil && *deadline < 0 {
		return NodeView{}, skalds.Invalid("the drain does not fit", skalds.Field("deadline", "must not be negative: 0s moves all tasks at once"))
	}
	now := s.tasks.now()
	err := s.amend(ctx, id, &AuditEntry{Who: who, Action: "drain"}, func(n *skalds.Node) {
		if !n.Draining {
			n.DrainBegan = now
		}
		n.Draining, n.DrainDeadline = true, 0
		if deadline != nil {
			n.DrainDeadline = now + deadline.Milliseconds()
		}
	})
	if err != nil {
		return NodeView{}, err
	}
	return s.Node(ctx, id)
}

// Undrain lets tasks come to a node again. Those that were told to leave it do.
func (s *NodeService) Undrain(ctx context.Context, id, who string) (NodeView, error) {
	err := s.amend(ctx, id, &AuditEntry{Who: who, Action: "undrain"}, func(n *skalds.Node) {
		n.Draining, n.DrainBegan, n.DrainDeadline = false, 0, 0
	})
	if err != nil {
		return NodeView{}, err
	}
	return s.Node(ctx, id)
}
