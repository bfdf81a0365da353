package host

import (
	"time"

	"github.com/skalds-go/skalds"
)

// rowLimit is how many failures in a row on this node make the host give the task back, so that another node may try.
const rowLimit = 3

// restartState is what the policy remembers of one task between its attempts.
type restartState struct {
	BudgetUsed int // worker-caused failures in this run of the task, on all nodes
	Row        int // worker-caused failures in a row on this node
	Streak     int // failures since the task was last healthy: the exponent of the back-off

	MemoryFailures int   // ends for memory in this run, on all nodes, where they have a budget of their own
	MemoryLimit    int64 // what they have raised the memory limit to; 0: it is the original one
}

// restartFrom is what a command brings along of the attempts before it.
func restartFrom(c *skalds.Command) restartState {
	return restartState{BudgetUsed: c.BudgetUsed, MemoryFailures: c.MemoryFailures, MemoryLimit: c.MemoryLimit}
}

// restartAction is what happens after an attempt.
type restartAction int

const (
	restartFinish   restartAction = iota + 1 // Main returned nil
	restartAgain                             // after Delay, on this node
	restartGiveBack                          // another node shall try
	restartFail                              // the budget is spent, or no retry can cure it
)

// restartInput is everything the policy needs to know about the attempt that has just ended.
type restartInput struct {
	Exit    skalds.Exit
	Healthy time.Duration // how long Main ran, pauses not counted
	CanMove bool          // a controller can hand the task to another node
	Jitter  float64       // random in [0,1), handed in

	MemoryLimit int64 // that the attempt was held to; 0: none
	FirstLimit  int64 // what the task is held to before any growth; 0: none
	MemoryRoom  int64 // the most that this node could reserve for the task now
}

// restartDecision is what to do, and what to remember.
type restartDecision struct {
	Action restartAction
	Delay  time.Duration
	State  restartState
	Gone   string // with restartGiveBack: what the controller is told, goneMove or goneMemory
}

// Why a host gives a task back on its own account, in Report.GoneFor.
const (
	goneMove   = "move"   // it fails here again and again
	goneMemory = "memory" // its next attempt needs more memory than this node has
)

// decideRestart is the retry policy: pure, so that tables and simulations can walk it. r has its defaults filled in
// (skalds.RetryFor).
//
// The first retry is immediate, the following ones wait InitialDelay·Factor^n with jitter of a quarter; a minute of health
// forgets the back-off and the row, never the budget. Only causes of the worker count.
//
// Ends for memory are counted apart where r.OOM is set, and raise the memory limit of the next attempt. A node that has too
// little for it gives the task back at once. Being over its own limit is no reason to try another node, so that it adds nothing
// to the row; that the machine had no more memory is one.
func decideRestart(r skalds.Retry, s restartState, in restartInput) restartDecision {
	if in.Exit.Kind == skalds.ExitCompleted {
		return restartDecision{Action: restartFinish, State: s}
	}
	if in.Healthy >= skalds.HealthyAfter {
		s.Row, s.Streak = 0, 0
	}
	if in.Exit.Permanent {
		if in.Exit.Kind.WorkerCaused() {
			s.BudgetUsed++
		}
		return restartDecision{Action: restartFail, State: s}
	}
	if !in.Exit.Kind.WorkerCaused() {
		return restartDecision{Action: restartAgain, Delay: backOff(r, s.Streak, in.Jitter), State: bumped(s)}
	}
	if r.OOM != nil && in.Exit.ForMemory() {
		return decideAfterOOM(r, s, in)
	}
	s.BudgetUsed++
	s.Row++
	if r.MaxAttempts != skalds.Unlimited && s.BudgetUsed >= r.MaxAttempts {
		return restartDecision{Action: restartFail, State: s}
	}
	if in.CanMove && s.Row >= rowLimit {
		return restartDecision{Action: restartGiveBack, State: s, Gone: goneMove}
	}
	return restartDecision{Action: restartAgain, Delay: backOff(r, s.Streak, in.Jitter), State: bumped(s)}
}

// decideAfterOOM is decideRestart for ends for memory that have a budget of their own.
func decideAfterOOM(r skalds.Retry, s restartState, in restartInput) restartDecision {
	s.MemoryFailures++
	if in.Exit.Kind == skalds.ExitOOM && in.Exit.Limit == "" {
		s.Row++
	}
	if r.OOM.MaxAttempts != skalds.Unlimited && s.MemoryFailures >= r.OOM.MaxAttempts {
		return restartDecision{Action: restartFail, State: s}
	}
	next := r.OOM.Next(in.MemoryLimit, in.FirstLimit)
	grown := next > in.MemoryLimit
	if grown {
		s.MemoryLimit = next
	}
	switch {
	case grown && in.CanMove && next > in.MemoryRoom:
		return restartDecision{Action: restartGiveBack, State: s, Gone: goneMemory}
	case in.CanMove && s.Row >= rowLimit:
		return restartDecision{Action: restartGiveBack, State: s, Gone: goneMove}
	}
	return restartDecision{Action: restartAgain, Delay: backOff(r, s.Streak, in.Jitter), State: bumped(s)}
}

func bumped(s restartState) restartState {
	s.Streak++
	return s
}

// backOff is the delay before the retry that follows failure number streak+1.
func backOff(r skalds.Retry, streak int, jitter float64) time.Duration {
	if streak <= 0 {
		return 0
	}
	d := float64(r.InitialDelay)
	for i := 1; i < streak && d < float64(r.MaxDelay); i++ {
		d *= r.Factor
	}
	d = min(d, float64(r.MaxDelay))
	return time.Duration(d * (0.75 + 0.5*jitter))
}
