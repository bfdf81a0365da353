package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// maxNamed bounds the tasks that one line of the log names.
const maxNamed = 10

// someOf names some of many tasks for a line of the log.
func someOf(ids []string) string {
	ids = slices.Sorted(slices.Values(ids))
	if len(ids) <= maxNamed {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:maxNamed], ", "), len(ids)-maxNamed)
}

// tell says in the log what became of the tasks of a lost node, and why.
func (n taken) tell(log hclog.Logger, node, why string) {
	logTakenBack(log, node, n.moved, why)
	if len(n.moved) > 0 && len(n.kept) > 0 {
		log.Info("tasks stay with a lost node, because they are to go on without a controller", "node_id", node, "count", len(n.kept), "tasks", someOf(n.kept))
	}
}

// logTakenBack says in one line which tasks a node does not have any more, and why; of none it says nothing.
func logTakenBack(log hclog.Logger, node string, ids []string, why string) {
	if len(ids) > 0 {
		log.Info("tasks taken back from a node", "node_id", node, "count", len(ids), "why", why, "tasks", someOf(ids))
	}
}
