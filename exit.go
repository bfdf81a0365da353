package skalds

// ExitKind says why an attempt ended. Every death has exactly one.
type ExitKind string

// The kinds of exit.
const (
	ExitCompleted    ExitKind = "completed"     // Main returned nil
	ExitError        ExitKind = "error"         // a hook or Main returned an error
	ExitPanic        ExitKind = "panic"         // a hook or Main panicked; Stack holds where
	ExitExit         ExitKind = "exit"          // the process called os.Exit with Code
	ExitSignal       ExitKind = "signal"        // killed by Signal, not by us
	ExitOOM          ExitKind = "oom"           // the kernel killed it for memory
	ExitLimit        ExitKind = "limit"         // we killed its tree over a limit; Message says which, with the peak
	ExitStartTimeout ExitKind = "start_timeout" // Main was not entered in time
	ExitRunTimeout   ExitKind = "run_timeout"   // ran longer than allowed
	ExitStall        ExitKind = "stall"         // broke its progress contract
	ExitHandshake    ExitKind = "handshake"     // no valid handshake; Message carries stderr's tail
	ExitRPCLost      ExitKind = "rpc_lost"      // the process lives, its RPC does not answer
	ExitLeaseLost    ExitKind = "lease_lost"    // the node could not renew its lease
	ExitNodeLost     ExitKind = "node_lost"     // the controller declared the node lost
	ExitHostRestart  ExitKind = "host_restart"  // the host died and came back without it
	ExitHostStop     ExitKind = "host_stop"     // the host was stopped
	ExitDrain        ExitKind = "drain"         // moved away from a draining node
	ExitPreempted    ExitKind = "preempted"     // gave way to a more urgent task
	ExitSuperseded   ExitKind = "superseded"    // a newer version or epoch took over
	ExitCancelled    ExitKind = "cancelled"     // a user cancelled it
)

// WorkerCaused reports whether the worker is to blame, so that the attempt counts against the retry budget.
func (k ExitKind) WorkerCaused() bool {
	switch k {
	case ExitError, ExitPanic, ExitExit, ExitSignal, ExitOOM, ExitLimit, ExitStartTimeout, ExitRunTimeout, ExitStall, ExitHandshake, ExitRPCLost:
		return true
	}
	return false
}

// The limits that an Exit can name.
const (
	LimitMemory = "memory"
	LimitCPU    = "cpu"
	LimitPIDs   = "pids"
)

// Exit explains one death.
type Exit struct {
	Kind      ExitKind `json:"kind"`
	Limit     string   `json:"limit,omitempty" doc:"which limit it broke: memory, cpu or pids; with kind limit, or oom of its own group"`
	Code      int      `json:"code"`                // exit status; -1 when killed by a signal
	Signal    string   `json:"signal,omitempty"`    // "killed", "segmentation fault", …
	Message   string   `json:"message,omitempty"`   // one line
	Stack     string   `json:"stack,omitempty"`     // of a panic, or of a Go worker that stood still or took too long
	Permanent bool     `json:"permanent,omitempty"` // no retry can cure it
}

// ForMemory reports whether the attempt ended because it had too little memory: over its own limit, or on a machine that had
// no more.
func (e Exit) ForMemory() bool {
	return e.Kind == ExitOOM || e.Kind == ExitLimit && e.Limit == LimitMemory
}

// Attempt is one run of a task, kept for ever with its task.
type Attempt struct {
	TaskID    string     `json:"taskId"`
	Epoch     int64      `json:"epoch"`
	Attempt   int        `json:"attempt"` // counted by the host within the epoch, from 1
	Node      string     `json:"node"`
	Version   string     `json:"version"` // "rtsp-worker@1.2.0"
	Digest    string     `json:"digest,omitempty"`
	PID       int        `json:"pid,omitempty"`
	StartedAt int64      `json:"startedAt"` // ms since epoch
	EndedAt   int64      `json:"endedAt"`   // 0 while it runs
	Exit      *Exit      `json:"exit,omitempty"`
	Peak      Usage      `json:"peak"`
	LastUsage Usage      `json:"lastUsage"`
	Pressures []Pressure `json:"pressure,omitempty" doc:"the last ten times that it was asked to give memory up, oldest first"`
	LogTail   string     `json:"logTail,omitempty"` // last lines, at most 16 KiB
	// Usage is the way to the end of an attempt that took more than it may (ExitLimit, ExitOOM), oldest first.
	Usage []UsageSample `json:"usage,omitempty" doc:"the way to the end of an attempt that took more than it may, oldest first: at most 60 measurements"`
}

// Pressure is one time that a worker was asked to give memory up, and what came of it.
type Pressure struct {
	At    int64  `json:"at" doc:"ms since epoch"`
	Level string `json:"level" doc:"soft: near its memory limit, or somebody in the tree waits for memory"`
	Bytes int64  `json:"bytes" doc:"asked for"`
	// StallPercent is the part of the ten seconds before for which the kernel kept somebody in the tree waiting for memory,
	// where that was why it was asked.
	StallPercent float64 `json:"stallPercent,omitempty" doc:"part of the ten seconds before for which somebody in the tree waited for memory, where that was why it was asked"`
	SaidBytes    int64   `json:"saidBytes" doc:"given up, as the worker says"`
	ShrankBytes  int64   `json:"shrankBytes" doc:"what all its processes hold less of than before, as measured; negative: they grew"`
	Helped       bool    `json:"helped" doc:"they were below the soft limit afterwards"`
}
