package skalds

import "encoding/json"

// Ack says what a host did with a command.
type Ack string

// What a host can do with a command.
const (
	AckReceived Ack = "received" // stops the re-sending
	AckApplied  Ack = "applied"
	AckRefused  Ack = "refused" // Reason says why; the task goes back to Created or fails
)

// Report is a change of a task's state on a node. (Incarnation, Seq) orders the reports of a node; a controller keeps the
// last applied of each task and drops what is not greater.
type Report struct {
	TaskID          string   `json:"taskId"`
	Epoch           int64    `json:"epoch"`
	DesiredRevision int64    `json:"desiredRevision"` // of the command that it answers or works under
	Seq             int64    `json:"seq"`
	Ack             Ack      `json:"ack,omitempty"`
	Reason          string   `json:"reason,omitempty"`
	Permanent       bool     `json:"permanent,omitempty"` // with AckRefused: no other node would do better
	State           State    `json:"state,omitempty"`     // empty: an acknowledgement only
	Phase           Phase    `json:"phase,omitempty"`
	NextAttemptAt   int64    `json:"nextAttemptAt,omitempty"`
	Attempt         int      `json:"attempt,omitempty"`
	BudgetUsed      int      `json:"budgetUsed,omitempty"`
	RowFailures     int      `json:"rowFailures,omitempty"`
	MemoryFailures  int      `json:"memoryFailures,omitempty"` // as Task.MemoryFailures
	MemoryLimit     int64    `json:"memoryLimit,omitempty"`    // as Task.MemoryLimit
	WorkerVersion   string   `json:"workerVersion,omitempty"`
	PID             int      `json:"pid,omitempty"`
	StartedAt       int64    `json:"startedAt,omitempty"`
	Progress        Progress `json:"progress,omitzero"`
	Error           string   `json:"error,omitempty"`
	Exception       string   `json:"exception,omitempty"`
	Exit            *Exit    `json:"exit,omitempty"`    // of the attempt that has just ended
	GoneFor         string   `json:"goneFor,omitempty"` // with State Created: why the host gave it back (host_stop, lease_lost, move, memory)
	At              int64    `json:"at"`                // ms since epoch
}

// OutcomeKind is the kind of a record that must never be lost.
type OutcomeKind string

// The kinds of outcome.
const (
	OutcomeExit     OutcomeKind = "exit"     // an Attempt
	OutcomeResult   OutcomeKind = "result"   // a JSON value, ≤ 128 KiB
	OutcomeStage    OutcomeKind = "stage"    // a finished stage: name and JSON value
	OutcomeArtifact OutcomeKind = "artifact" // an Artifact
)

// OutcomeKey identifies an outcome; inserting it twice changes nothing.
type OutcomeKey struct {
	TaskID  string      `json:"taskId"`
	Epoch   int64       `json:"epoch"`
	Attempt int         `json:"attempt"`
	Kind    OutcomeKind `json:"kind"`
	Name    string      `json:"name,omitempty"` // of the stage or artifact
}

// Outcome is a record that stays in the host's journal until a controller has acknowledged it, after the store has it.
type Outcome struct {
	OutcomeKey
	Exit     *Attempt        `json:"exit,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"`
	Artifact *Artifact       `json:"artifact,omitempty"`
}

// Artifact is something that a worker left behind, by reference.
type Artifact struct {
	TaskID    string          `json:"taskId"`
	Node      string          `json:"node,omitempty"`
	Epoch     int64           `json:"epoch"`
	Kind      string          `json:"kind"` // "recording", "snapshot", "file"
	Path      string          `json:"path"`
	StartedAt int64           `json:"startedAt,omitempty"` // ms since epoch
	EndedAt   int64           `json:"endedAt,omitempty"`   // 0: still open
	Bytes     int64           `json:"bytes,omitempty"`
	Duration  int64           `json:"durationMs,omitempty"`
	EndReason string          `json:"endReason,omitempty"`
	Meta      json.RawMessage `json:"meta,omitempty"`
}

// TaskMark is what a host knows of one task when it says hello.
type TaskMark struct {
	TaskID          string `json:"taskId"`
	Epoch           int64  `json:"epoch"`
	DesiredRevision int64  `json:"desiredRevision"`
	Running         bool   `json:"running"` // an instance exists or an attempt is planned in this incarnation
	State           State  `json:"state,omitempty"`
	Mode            Mode   `json:"mode"`
	Adopted         bool   `json:"adopted,omitempty"`
}

// Hello is what a host says when it starts or reconnects: what it runs, knows and offers.
type Hello struct {
	Mode      NodeMode          `json:"mode"`
	Partition int32             `json:"partition"`
	Hostname  string            `json:"hostname,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Tasks     []TaskMark        `json:"tasks"`
	Workers   []WorkerInfo      `json:"workers"`
	Number    int64             `json:"number"` // of this host's hellos in this incarnation, from 1; the answer echoes it
	Part      int               `json:"part"`   // from 1: schemas of many plugins do not fit into one message
	Parts     int               `json:"parts"`
}

// EdgeEntry tells a controller of one entry of a node's YAML file.
type EdgeEntry struct {
	Spec     Spec   `json:"spec"`     // its attachments are those of the file
	BaseHash string `json:"baseHash"` // of the attachments at the last synchronisation; empty: never
	Removed  bool   `json:"removed,omitempty"`
	Epoch    int64  `json:"epoch"`           // under which the host runs it
	Retry    bool   `json:"retry,omitempty"` // the entry was changed or put back after a final state
}

// EdgeAnswer tells the host what the store holds for an EdgeEntry.
type EdgeAnswer struct {
	TaskID          string          `json:"taskId"`
	Owner           string          `json:"owner"` // the owning node; another one must not run it
	Accepted        bool            `json:"accepted"`
	Attachments     json.RawMessage `json:"attachments,omitempty"`
	Hash            string          `json:"hash"` // of Attachments
	Desired         Desired         `json:"desired"`
	DesiredRevision int64           `json:"desiredRevision"`
	Epoch           int64           `json:"epoch"` // the store's highest
	State           State           `json:"state"`
	Reason          string          `json:"reason,omitempty"`
}

// HostMessage is anything that a host tells the controllers, on the topic skalds.report. Exactly one of the pointers is set.
type HostMessage struct {
	NodeID      string     `json:"nodeId"`
	Incarnation int64      `json:"incarnation"`
	Hello       *Hello     `json:"hello,omitempty"`
	Report      *Report    `json:"report,omitempty"`
	Outcome     *Outcome   `json:"outcome,omitempty"`
	Edge        *EdgeEntry `json:"edge,omitempty"`
	Gone        *HostGone  `json:"gone,omitempty"`
	Bye         bool       `json:"bye,omitempty"` // a clean stop: its tasks were given back before
}

// HostGone is what the process that watches over a host says when the host has died or fallen silent: the processes of these
// assignments are known to be dead, and will not be started again under their epochs. It is said again as more die.
type HostGone struct {
	Tasks  []GoneTask `json:"tasks"`
	Silent bool       `json:"silent,omitempty"` // the host is stopped or silent rather than dead: it may wake up
}

// GoneTask is an assignment of a task whose processes are dead.
type GoneTask struct {
	TaskID string `json:"taskId"`
	Epoch  int64  `json:"epoch"`
}
