package skalds

import "time"

// OriginalNode is what a node of the Python original has written about itself in Redis.
type OriginalNode struct {
	ID   string
	Mode NodeMode
	// Left is how long its heartbeat still lives; 0: there is none, or it does not expire, which is no sign of life.
	Left     time.Duration
	Classes  []string // that it can run; nil: not known at the moment, since it writes its list in steps
	Tasks    []string // ids of the tasks that it lists: those whose process it has started and not seen leave
	ListedAt int64    // ms since epoch by its clock, when it wrote that list; 0: there is none
}

// OriginalTask is what a worker of the Python original has written about its task in Redis.
type OriginalTask struct {
	Found bool
	Value int // its last heartbeat: a random number from 0 to 199, or how it ended: see End
	// Left is how long the heartbeat still lives; 0: there is none, or it does not expire, which is no sign of life.
	Left      time.Duration
	Exception string // what ended it; empty: nothing did, or it has just begun
}

// The numbers by which a worker of the original says how it ended.
const (
	OriginalFinished  = 200
	OriginalFailed    = -1
	OriginalCancelled = -2
)

// OriginalBeat is how long a heartbeat of the original lives. It is renewed every three seconds.
const OriginalBeat = 8 * time.Second

// End is how the task ended; empty: it has not, or nobody has said so.
func (t OriginalTask) End() State {
	switch {
	case !t.Found:
	case t.Value == OriginalFinished:
		return Finished
	case t.Value == OriginalFailed:
		return Failed
	case t.Value == OriginalCancelled:
		return Cancelled
	}
	return ""
}

// Beating reports whether the task's process was alive less than OriginalBeat ago.
func (t OriginalTask) Beating() bool { return t.Found && t.Left > 0 && t.End() == "" }
