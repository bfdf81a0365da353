package controller

import (
	"context"

	"github.com/skalds-go/skalds"
)

// OriginalStore is where nodes of the Python original write what they and their workers do. It is found by assertion: a heartbeat
// store that implements it can serve them.
type OriginalStore interface {
	// OriginalNodes lists the nodes that have written something, dead ones included; none of our own.
	OriginalNodes(ctx context.Context) ([]skalds.OriginalNode, error)
	// OriginalTasks reads what workers have written about tasks, by id.
	OriginalTasks(ctx context.Context, ids []string) (map[string]skalds.OriginalTask, error)
	// ForgetOriginalTasks removes that.
	ForgetOriginalTasks(ctx context.Context, ids ...string) error
}
