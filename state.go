package skalds

// State is where a task is in its life. The spelling on the wire is that of the Python original.
//
//	                 ┌───────────── pause / resume ─────────────┐
//	                 ▼                                          │
//	┌─────────┐  dispatch  ┌───────────┐  started  ┌─────────┐  │  ┌────────┐
//	│ Created │──────────▶│ Assigning │──────────▶│ Running │◀─┼─▶│ Paused │
//	└─────────┘            └───────────┘           └─────────┘  │  └────────┘
//	  ▲  │ ▲ └───────────────────┼──────────────────────┼───────┘      │
//	  │  │ └── refused, node lost, drained, moved ───────┴──────────────┤
//	  │  │                       │                      │              │
//	  │  └── cancel, queue ──────┤                      │              │
//	  │      time-out, permanent ▼                      ▼              ▼
//	  │                 ┌─────────────────────────────────────────────────┐
//	  └── retry ────────│      Finished   │    Failed    │   Cancelled     │
//	                    └─────────────────────────────────────────────────┘
//
// A move back to Created raises the epoch; retry also starts a fresh budget. Between two local attempts the state stays
// Running with Phase = PhaseBackoff.
type State string

// The states of a task.
const (
	Created   State = "Created"   // accepted and waiting for a node
	Assigning State = "Assigning" // handed to a node that has not started it yet
	Running   State = "Running"   // the node runs it, or waits for its next attempt
	Paused    State = "Paused"    // frozen on its node, or held back before it had one
	Finished  State = "Finished"  // Main returned nil
	Failed    State = "Failed"    // the budget is spent, or no retry can cure it
	Cancelled State = "Cancelled" // a user ended it
)

// States lists all states in the order of a task's life.
func States() []State {
	return []State{Created, Assigning, Running, Paused, Finished, Failed, Cancelled}
}

// transitions is the whole life of a task as data; a test walks every pair.
var transitions = map[State][]State{
	Created:   {Assigning, Paused, Cancelled, Failed},
	Assigning: {Running, Created, Cancelled, Failed},
	Running:   {Paused, Finished, Failed, Cancelled, Created},
	Paused:    {Running, Finished, Failed, Cancelled, Created},
	Finished:  {Created},
	Failed:    {Created},
	Cancelled: {Created},
}

// CanBecome reports whether a task may go from s to next. Staying where it is, is no transition.
func (s State) CanBecome(next State) bool {
	for _, t := range transitions[s] {
		if t == next {
			return true
		}
	}
	return false
}

// Final reports whether s is an end: only an explicit retry leads out of it.
func (s State) Final() bool { return s == Finished || s == Failed || s == Cancelled }

// OnNode reports whether a task in s belongs to a node (a Paused task may also be held back before it had one: see
// Task.Executor).
func (s State) OnNode() bool { return s == Assigning || s == Running || s == Paused }

// Valid reports whether s is one of the states.
func (s State) Valid() bool {
	_, ok := transitions[s]
	return ok
}

// Desired is what a controller wants a node to do with a task.
type Desired string

// The desired states of a task on a node.
const (
	DesiredRunning Desired = "Running"
	DesiredPaused  Desired = "Paused"
	DesiredGone    Desired = "Gone" // stop it and forget it
)

// Phase says more about a Running task.
type Phase string

// The phases of a Running task.
const (
	PhaseNone     Phase = ""
	PhaseStarting Phase = "starting" // the process is being launched
	PhaseBackoff  Phase = "backoff"  // waiting for NextAttemptAt
	PhaseStopping Phase = "stopping" // the stop ladder is under way
)
