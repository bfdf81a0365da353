package history

import "github.com/skalds-go/skalds"

// Kind is what an Event is about, and so which of its fields are set.
type Kind string

// The kinds of events.
const (
	Accepted Kind = "accepted" // a controller has answered 201. State: how the task is to end; empty: in any way
	Unsure   Kind = "unsure"   // a create was not answered, or with a fault: the task may be there
	Refused  Kind = "refused"  // a create was answered by an error that says that nothing was stored
	Asked    Kind = "asked"    // a user is about to ask for something that changes how the task ends. Verb
	Stored   Kind = "stored"   // the task's document, as a controller shows it. Revision, State, Epoch, Node; perhaps Run and EndedAt
	Missing  Kind = "missing"  // a controller says that there is no such task
	Recorded Kind = "recorded" // an attempt, as a controller shows it. Epoch, Attempt, Node, PID, Exit

	// What the task's process says of itself. Epoch, Attempt, PID, Node.
	Began    Kind = "began"
	Beat     Kind = "beat"     // it still runs
	Finished Kind = "finished" // it has done its work, and Main is about to return nil

	Seen    Kind = "seen"    // a process of the task was found alive. Epoch, PID
	Settled Kind = "settled" // everything works again and has had time to come to its end. No task
	Fault   Kind = "fault"   // what was done to the cluster, for people. Text
)

// The verbs of Asked.
const (
	Cancel = "cancel"
	Retry  = "retry"
)

// Event is one thing that was seen. It is one line of JSON in a file.
type Event struct {
	At       int64           `json:"at"` // ns since epoch, when it was seen; of Asked: before it was asked
	Kind     Kind            `json:"kind"`
	Task     string          `json:"task,omitempty"`
	Revision int64           `json:"revision,omitempty"`
	State    skalds.State    `json:"state,omitempty"`
	Epoch    int64           `json:"epoch,omitempty"`
	Attempt  int             `json:"attempt,omitempty"`
	Run      int             `json:"run,omitempty"` // counted from 1; 0: not known
	Node     string          `json:"node,omitempty"`
	PID      int             `json:"pid,omitempty"`
	EndedAt  int64           `json:"endedAt,omitempty"` // ms since epoch; 0: not known, or not ended
	Exit     skalds.ExitKind `json:"exit,omitempty"`    // empty: the attempt has no end yet
	Verb     string          `json:"verb,omitempty"`
	Text     string          `json:"text,omitempty"`
}
