package skalds

import "encoding/json"

// Topics of the bus. The task.* ones are those of the Python original and are read as requests and written for Python nodes.
const (
	TopicCommand   = "skalds.command"
	TopicReport    = "skalds.report"
	TopicHeartbeat = "skalds.heartbeat"
	TopicChanged   = "task.changed"

	TopicTaskAssign = "task.assign"
	TopicTaskCancel = "task.cancel"
	TopicTaskUpdate = "task.update.attachment"
	TopicTesting    = "testing"

	// CommandPartitions is the default number of partitions of TopicCommand, shared by all nodes.
	CommandPartitions = 64
)

// Initiator marks events that controllers write, so that controllers ignore them.
const Initiator = "skalds-controller"

// ChangeType is the kind of a Change.
type ChangeType string

// The kinds of change.
const (
	ChangeTask ChangeType = "task_status" // a task's stored document has changed
	ChangeNode ChangeType = "skald_status"
)

// Change is one applied change, published to every controller and from there to every reader of the event stream. It is
// a summary: readers fetch the document.
type Change struct {
	Type      ChangeType `json:"type"`
	TaskID    string     `json:"taskId,omitempty"`
	NodeID    string     `json:"skaldId,omitempty"`
	ClassName string     `json:"className,omitempty"`
	State     State      `json:"lifecycleStatus,omitempty"`
	Phase     Phase      `json:"phase,omitempty"`
	Executor  string     `json:"executor,omitempty"`
	Epoch     int64      `json:"epoch,omitempty"`
	Attempt   int        `json:"attempt,omitempty"`
	Revision  int64      `json:"revision,omitempty"`
	Error     string     `json:"error,omitempty"`
	Exception string     `json:"exception,omitempty"`
	Status    string     `json:"status,omitempty"` // of a node: online, offline
	At        int64      `json:"timestamp"`        // ms since epoch
}

// TaskEvent is the original's event: it names tasks, nothing more.
type TaskEvent struct {
	ID             string   `json:"id,omitempty"`
	Title          string   `json:"title,omitempty"`
	Initiator      string   `json:"initiator,omitempty"`
	Recipient      string   `json:"recipient,omitempty"`
	CreateDateTime int64    `json:"createDateTime,omitempty"`
	UpdateDateTime int64    `json:"updateDateTime,omitempty"`
	TaskIDs        []string `json:"taskIds"`
}

// UnmarshalJSON reads both spellings that occur on the wire: aliases (taskIds) and field names (task_ids).
func (e *TaskEvent) UnmarshalJSON(b []byte) error {
	type plain TaskEvent
	var both struct {
		plain
		SnakeCreate int64    `json:"create_date_time"`
		SnakeUpdate int64    `json:"update_date_time"`
		SnakeIDs    []string `json:"task_ids"`
	}
	if err := json.Unmarshal(b, &both); err != nil {
		return err
	}
	*e = TaskEvent(both.plain)
	if e.TaskIDs == nil {
		e.TaskIDs = both.SnakeIDs
	}
	if e.CreateDateTime == 0 {
		e.CreateDateTime = both.SnakeCreate
	}
	if e.UpdateDateTime == 0 {
		e.UpdateDateTime = both.SnakeUpdate
	}
	return nil
}
