package controller

import (
	"encoding/json"

	"github.com/skalds-go/skalds"
)

// TaskView is a stored task together with what its node's last heartbeat says about it.
type TaskView struct {
	*skalds.Task
	Live *skalds.InstanceStatus // nil: no node reports it now
	// Beats: it runs on a node of the Python original, by its heartbeat, which is all that is known of it.
	Beats bool
}

// NodeView is a node as the controller sees it: its record and its latest heartbeat.
type NodeView struct {
	skalds.Node
	Online    bool
	Greeted   bool              // its hello was answered: it may get tasks, unless it is cordoned or draining
	Heartbeat *skalds.Heartbeat // nil: none seen since the controller started
	SeenAt    int64             // ms since epoch, the controller's clock; 0: never
	Tasks     []PlacedTask      // that belong to it by the store
	Drain     DrainForecast     // of a draining one, without Room and NoRoom
}

// CreateRequest asks for a task.
type CreateRequest struct {
	Spec           skalds.Spec
	IdempotencyKey string // empty: none
	BodyHash       string // of the body that came with the key
	Who            string // for the audit
}

// Candidate is one node's answer to "why": its score, or why it was refused.
type Candidate struct {
	NodeID  string           `json:"nodeId"`
	Worker  string           `json:"worker,omitempty"` // the version that would run
	Score   float64          `json:"score"`
	Refused string           `json:"refused,omitempty"`
	Free    skalds.Resources `json:"free"`
	Chosen  bool             `json:"chosen,omitempty"`
}

// Explanation says why a task is where it is, or why it is nowhere.
type Explanation struct {
	TaskID     string           `json:"taskId"`
	State      skalds.State     `json:"lifecycleStatus"`
	Executor   string           `json:"executor,omitempty"`
	Summary    string           `json:"summary"`   // one sentence for people
	Needs      skalds.Resources `json:"needs"`     // what the dispatcher counts for it
	NeedsFrom  string           `json:"needsFrom"` // "requested", "learned from 12 runs", "class default", "nothing known"
	Candidates []Candidate      `json:"candidates"`
}

// Summary counts everything once.
type Summary struct {
	Tasks  map[skalds.State]int
	Nodes  int
	Online int
	Edge   int
	ByNode map[string]int // tasks on each online node
}

// AttachmentsUpdate asks for new attachments.
type AttachmentsUpdate struct {
	TaskID      string
	Attachments json.RawMessage
	IfRevision  int64 // 0: whatever the revision is
	Who         string
}
