package skalds

import "encoding/json"

// Command is the whole desired state of one task on one node. The higher (Generation, Epoch, DesiredRevision) wins; a
// host remembers the highest per task, tombstones included.
type Command struct {
	TaskID          string                     `json:"taskId"`
	Generation      int64                      `json:"generation"` // of the store: a restored backup raises it
	Epoch           int64                      `json:"epoch"`
	DesiredRevision int64                      `json:"desiredRevision"`
	Desired         Desired                    `json:"desired"`
	Reason          string                     `json:"reason,omitempty"` // for Gone: cancelled, drain, superseded, …
	Why             string                     `json:"why,omitempty"`    // for Gone: the reason in words, for people; may be empty
	Spec            *Spec                      `json:"spec,omitempty"`   // nil for Gone
	BudgetUsed      int                        `json:"budgetUsed,omitempty"`
	MemoryFailures  int                        `json:"memoryFailures,omitempty"` // as Task.MemoryFailures
	MemoryLimit     int64                      `json:"memoryLimit,omitempty"`    // as Task.MemoryLimit
	Stages          map[string]json.RawMessage `json:"stages,omitempty"`
}

// Newer reports whether c wins over o.
func (c *Command) Newer(o *Command) bool {
	if c.Generation != o.Generation {
		return c.Generation > o.Generation
	}
	if c.Epoch != o.Epoch {
		return c.Epoch > o.Epoch
	}
	return c.DesiredRevision > o.DesiredRevision
}

// NodeMessage is anything that a controller tells a node, on the topic skalds.command. Exactly one field is set.
type NodeMessage struct {
	NodeID string `json:"nodeId"`
	// Term is that of the leader that decided this; 0: it is no decision. A host drops what comes of a lower term than it has seen:
	// a leader that was stopped for a while has been replaced since.
	Term     int64          `json:"term,omitempty"`
	Command  *Command       `json:"command,omitempty"`
	Answer   *HelloAnswer   `json:"answer,omitempty"`
	Acks     []OutcomeKey   `json:"acks,omitempty"`     // outcomes that the store has
	Edge     *EdgeAnswer    `json:"edge,omitempty"`     // to an EdgeEntry
	AskHello bool           `json:"askHello,omitempty"` // say hello again
	Stream   *StreamRequest `json:"stream,omitempty"`
}

// HelloAnswer is the full desired set of a node, in numbered parts where it is large.
type HelloAnswer struct {
	Incarnation int64            `json:"incarnation"` // of the hello that it answers
	Number      int64            `json:"number"`      // of that hello
	Generation  int64            `json:"generation"`
	Part        int              `json:"part"` // from 1
	Parts       int              `json:"parts"`
	Commands    []Command        `json:"commands"`          // one for every task in the hello (Gone included), and the others desired
	Epochs      map[string]int64 `json:"epochs,omitempty"`  // the store's highest epoch per task of the node
	Refused     string           `json:"refused,omitempty"` // the node must not work: another live one has its id
}

// StreamRequest asks a host to dial a controller and post something that is too large for the bus.
type StreamRequest struct {
	ID     string `json:"id"`
	URL    string `json:"url"`   // where to POST
	Token  string `json:"token"` // bearer token for it
	Kind   string `json:"kind"`  // "logs"
	TaskID string `json:"taskId"`
	Tail   int    `json:"tail,omitempty"` // lines
	Follow bool   `json:"follow,omitempty"`
}

// StreamRefusedHeader is the header with which a host that cannot serve a StreamRequest posts the reason to its URL.
const StreamRefusedHeader = "X-Skalds-Refused"
