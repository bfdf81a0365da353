package skalds

import "encoding/json"

// Topics of the bus. The task.* ones are those of the Python original and are read as requests and written for Python nodes.
const (
	TopicCommand   = "skalds.command"
	TopicReport    = "skalds.report"
	TopicHeartbeat = "skalds.heartbeat"
	TopicChanged   = "task.changed"
	TopicRejected  = "skalds.rejected"

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
	// ChangeLeader is between controllers: another one leads, or none does. Status says which, LeaderTaken or LeaderFree.
	ChangeLeader ChangeType = "leader"
	// ChangeMissed says that changes were stored and not announced, because too many were waiting: readers are to read everything anew.
	ChangeMissed ChangeType = "missed"
)

// What the Status of a ChangeLeader says.
const (
	LeaderTaken = "taken" // after a leader that may have stored changes without announcing them
	LeaderFree  = "free"  // the lease was given back
)

// What the Status of a ChangeNode says.
const (
	NodeOnline  = "online"
	NodeOffline = "offline"
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
	// By is the controller that stored the change, and Term its term if it led then and has carried out what follows from the change;
	// with no term the leader has to.
	By   string `json:"by,omitempty"`
	Term int64  `json:"term,omitempty"`
	At   int64  `json:"timestamp"` // ms since epoch
}

// Rejected is a message of the bus that somebody could not use and has set aside.
type Rejected struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key,omitempty"`
	At        int64  `json:"timestamp,omitempty"` // ms since epoch, of the message
	Reason    string `json:"reason"`
	Size      int    `json:"size"`            // of the whole value, in bytes
	Value     []byte `json:"value,omitempty"` // the first MaxRejectedBytes of it; base64 in JSON
	By        string `json:"by,omitempty"`    // who could not use it
}

// MaxRejectedBytes is how much of a rejected message is kept.
const MaxRejectedBytes = 64 << 10

// TaskEvent is the original's event: it names tasks, nothing more. Times are ms since epoch.
type TaskEvent struct {
	ID             string   `json:"id"`
	Title          string   `json:"title"`
	Initiator      string   `json:"initiator"`
	Recipient      string   `json:"recipient"`
	CreateDateTime int64    `json:"createDateTime"`
	UpdateDateTime int64    `json:"updateDateTime"`
	TaskIDs        []string `json:"taskIds"`
}

// MarshalJSON writes what the original writes: aliases, and null for what is not said.
func (e TaskEvent) MarshalJSON() ([]byte, error) {
	said := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	ids := e.TaskIDs
	if ids == nil {
		ids = []string{} // the original refuses null
	}
	return json.Marshal(struct {
		ID             *string  `json:"id"`
		Title          *string  `json:"title"`
		Initiator      *string  `json:"initiator"`
		Recipient      *string  `json:"recipient"`
		CreateDateTime int64    `json:"createDateTime"`
		UpdateDateTime int64    `json:"updateDateTime"`
		TaskIDs        []string `json:"taskIds"`
	}{said(e.ID), said(e.Title), said(e.Initiator), said(e.Recipient), e.CreateDateTime, e.UpdateDateTime, ids})
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
