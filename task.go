package skalds

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Mode says who hands a task out.
type Mode string

// The modes of a task.
const (
	ModeActive         Mode = "Active"         // from a node's YAML file, bound to that node
	ModePassive        Mode = "Passive"        // handed out by the dispatcher
	ModePassiveProcess Mode = "PassiveProcess" // the one task of a single_process host
)

// OnDisconnect says what a node does with a task when it has lost its lease.
type OnDisconnect string

// The choices of OnDisconnect.
const (
	OnDisconnectStop OnDisconnect = "stop" // killed before anybody else may run it; default for dispatched tasks
	OnDisconnectKeep OnDisconnect = "keep" // goes on, and is never run elsewhere; default for edge tasks
)

// Spec is what a user asks for: the part of a task that travels to a node.
type Spec struct {
	ID               string            `json:"id"`
	ClassName        string            `json:"className"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Source           string            `json:"source,omitempty"`
	Mode             Mode              `json:"mode"`
	IsPersistent     bool              `json:"isPersistent"`
	Priority         int               `json:"priority"`
	Version          string            `json:"version,omitempty"` // constraint on the worker's version, e.g. "^1.2"; empty: the released one
	Attachments      json.RawMessage   `json:"attachments,omitempty"`
	Resources        Resources         `json:"resources,omitzero"`
	Limits           Limits            `json:"limits,omitzero"`
	Retry            Retry             `json:"retry,omitzero"`
	Timeouts         Timeouts          `json:"timeouts,omitzero"`
	Isolation        Isolation         `json:"isolation,omitzero"`
	Labels           map[string]string `json:"labels,omitempty"`
	Constraints      []string          `json:"constraints,omitempty"` // "zone=a", "gpu", "arch!=arm64"
	OnDisconnect     OnDisconnect      `json:"onDisconnect,omitempty"`
	Survive          bool              `json:"survive,omitempty"`
	Dependencies     []string          `json:"dependencies,omitempty"`
	CreateDateTime   int64             `json:"createDateTime"`             // ms since epoch
	DeadlineDateTime int64             `json:"deadlineDateTime,omitempty"` // ms since epoch; 0: none
}

// Task is the document in the store: Spec by the original's aliases, and what became of it. Every stored change raises
// Revision and is a compare-and-set on it.
type Task struct {
	Spec

	LifecycleStatus State  `json:"lifecycleStatus"`
	Executor        string `json:"executor,omitempty"` // node id; empty: on no node
	BoundTo         string `json:"boundTo,omitempty"`  // the only node that may run it: the file that names it lies there, or its old process may
	UpdateDateTime  int64  `json:"updateDateTime"`     // ms since epoch

	Revision        int64   `json:"revision"`           // +1 with every stored change
	Epoch           int64   `json:"epoch"`              // +1 with every hand-out and every move back to Created
	Desired         Desired `json:"desired"`            // what its node shall do with it
	DesiredRevision int64   `json:"desiredRevision"`    // +1 when Desired, attachments, limits or version change
	AckedRevision   int64   `json:"ackedRevision"`      // the highest DesiredRevision that the node has applied or refused
	Run             int     `json:"run"`                // +1 with every explicit retry
	RunEpoch        int64   `json:"runEpoch"`           // the first epoch of this run: records of earlier ones are not its own
	QueuedAt        int64   `json:"queuedAt,omitempty"` // ms since epoch; when it became Created the last time

	Phase         Phase  `json:"phase,omitempty"`
	NextAttemptAt int64  `json:"nextAttemptAt,omitempty"` // ms since epoch, in PhaseBackoff; while Created: before it those of Refusals are not asked
	Attempt       int    `json:"attempt"`                 // of the current epoch
	BudgetUsed    int    `json:"budgetUsed"`              // worker-caused failures in this run, but for those of the memory budget
	RowFailures   int    `json:"rowFailures,omitempty"`   // worker-caused failures in a row on the current node
	WorkerVersion string `json:"workerVersion,omitempty"` // "rtsp-worker@1.2.0", what really runs

	MemoryFailures int   `json:"memoryFailures,omitempty"` // ends for memory in this run, counted where Retry.OOM is set
	MemoryLimit    int64 `json:"memoryLimit,omitempty"`    // what they have raised the memory limit to; 0: not raised

	PID       int   `json:"pid,omitempty"`
	StartedAt int64 `json:"startedAt,omitempty"` // of the current attempt, ms since epoch
	EndedAt   int64 `json:"endedAt,omitempty"`   // of the task, ms since epoch; 0 unless final

	Progress  Progress                   `json:"progress,omitzero"` // as last reported with a state change; the live one is in heartbeats
	Stages    map[string]json.RawMessage `json:"stages,omitempty"`  // finished stages: not run again by the next attempt
	Result    json.RawMessage            `json:"result,omitempty"`
	Error     string                     `json:"error,omitempty"`     // last error that did not end the task
	Exception string                     `json:"exception,omitempty"` // what ended the last attempt
	LastExit  *Exit                      `json:"lastExit,omitempty"`

	Quarantined string  `json:"quarantined,omitempty"` // why it is held back; a retry releases it
	NodeLosses  []int64 `json:"nodeLosses,omitempty"`  // ms since epoch of recent node losses
	AvoidNode   string  `json:"avoidNode,omitempty"`   // the node on which it failed three times in a row, or that refused it
	Moves       []int64 `json:"moves,omitempty"`       // ms since epoch of recent moves away from a node that it failed on
	Waiting     string  `json:"waiting,omitempty"`     // why it is not placed, in one line

	Refusals []Refusal `json:"refusals,omitempty"` // of the nodes behind Moves, the latest of each, in the order of their times

	AppliedIncarnation int64 `json:"appliedIncarnation,omitempty"` // of the last applied report
	AppliedSeq         int64 `json:"appliedSeq,omitempty"`

	IdempotencyKey  string `json:"idempotencyKey,omitempty"`
	IdempotencyHash string `json:"idempotencyHash,omitempty"`
}

// Refusal is a node that did not take a task, or gave it back because it failed there three times in a row.
type Refusal struct {
	Node string `json:"node"`
	At   int64  `json:"at"`            // ms since epoch
	Why  string `json:"why,omitempty"` // as the node said, cut to a line
}

// Progress is how far a task has come.
type Progress struct {
	Percent float64 `json:"percent"` // 0–100
	Units   int64   `json:"units,omitempty"`
	Unit    string  `json:"unit,omitempty"` // "frames", "items", …
	Stage   string  `json:"stage,omitempty"`
	At      int64   `json:"at,omitempty"` // ms since epoch of the last change
}

// MaxAttempts is the budget after defaults.
func (s *Spec) retry(workerRetry int) Retry { return RetryFor(s.Retry, s.IsPersistent, workerRetry) }

// WithDefaults fills in what the user left open. workerRetry is TASK_WORKER_RETRY.
func (s Spec) WithDefaults(workerRetry int) Spec {
	if s.Mode == "" {
		s.Mode = ModePassive
	}
	s.Retry = s.retry(workerRetry)
	if s.Timeouts.Start == 0 {
		s.Timeouts.Start = Duration(DefaultStartTimeout)
	}
	if s.OnDisconnect == "" {
		s.OnDisconnect = OnDisconnectStop
		if s.Mode == ModeActive {
			s.OnDisconnect = OnDisconnectKeep
		}
	}
	if s.Name == "" {
		s.Name = s.ID
	}
	return s
}

// Validate names every fault of the spec at once, but for attachments, whose schema belongs to the class.
func (s *Spec) Validate() error {
	var errs []error
	if err := ValidateID(s.ID); err != nil {
		errs = append(errs, Field("id", err.Error()))
	}
	if s.ClassName == "" {
		errs = append(errs, Field("className", "is missing: name the class of work, `skalds worker list` shows them"))
	}
	switch s.Mode {
	case "", ModeActive, ModePassive, ModePassiveProcess:
	default:
		errs = append(errs, Field("mode", quoted(s.Mode)+" is none of Active, Passive, PassiveProcess"))
	}
	if s.Priority < 0 || s.Priority > MaxPriority {
		errs = append(errs, Field("priority", fmt.Sprintf("%d is outside 0–10 (10 is the most urgent)", s.Priority)))
	}
	if s.Resources.CPUCores < 0 {
		errs = append(errs, Field("resources.cpuCores", "must not be negative"))
	}
	if s.Resources.MemoryBytes < 0 {
		errs = append(errs, Field("resources.memoryBytes", "must not be negative"))
	}
	if s.Limits.CPUCores < 0 {
		errs = append(errs, Field("limits.cpuCores", "must not be negative"))
	}
	if s.Limits.MemoryBytes < 0 {
		errs = append(errs, Field("limits.memoryBytes", "must not be negative"))
	} else if m := s.Limits.MemoryBytes; m > 0 && m < MinMemoryLimit {
		errs = append(errs, Field("limits.memoryBytes", fmt.Sprintf("%d bytes are too little for any process: use at least %d (8 MiB)", m, int64(MinMemoryLimit))))
	}
	if s.Limits.PIDs < 0 {
		errs = append(errs, Field("limits.pids", "must not be negative"))
	}
	if s.Limits.IOWeight < 0 || s.Limits.IOWeight > MaxIOWeight {
		errs = append(errs, Field("limits.ioWeight", fmt.Sprintf("%d is outside 1–%d (100 is what everybody has)", s.Limits.IOWeight, MaxIOWeight)))
	}
	switch s.OnDisconnect {
	case "", OnDisconnectStop, OnDisconnectKeep:
	default:
		errs = append(errs, Field("onDisconnect", quoted(s.OnDisconnect)+" is neither stop nor keep"))
	}
	errs = append(errs, s.bounds()...)
	errs = append(errs, s.Retry.Validate())
	if o := s.Retry.OOM; o != nil && o.MaxMemoryBytes > 0 && o.MaxMemoryBytes < s.Limits.MemoryBytes {
		errs = append(errs, Field("retry.oom.maxMemoryBytes", "is less than limits.memoryBytes, which it lets grow"))
	}
	errs = append(errs, s.Timeouts.Validate())
	errs = append(errs, s.Isolation.Validate())
	for _, c := range s.Constraints {
		if _, err := ParseConstraint(c); err != nil {
			errs = append(errs, Field("constraints", err.Error()))
		}
	}
	return errors.Join(errs...)
}

// CurrentLimits are the limits that the task asks for, with the memory limit that ends for memory have raised it to.
func (t *Task) CurrentLimits() Limits {
	l := t.Limits
	if t.MemoryLimit > 0 {
		l.MemoryBytes = max(l.MemoryBytes, t.MemoryLimit)
	}
	return l
}

// Clone is a copy that shares nothing with t.
func (t *Task) Clone() *Task {
	c := *t
	c.Attachments = slices.Clone(t.Attachments)
	c.Labels = maps.Clone(t.Labels)
	c.Constraints = slices.Clone(t.Constraints)
	c.Dependencies = slices.Clone(t.Dependencies)
	if t.Retry.OOM != nil {
		o := *t.Retry.OOM
		c.Retry.OOM = &o
	}
	c.Isolation = t.Isolation.clone()
	c.Stages = maps.Clone(t.Stages)
	for k, v := range c.Stages {
		c.Stages[k] = slices.Clone(v)
	}
	c.Result = slices.Clone(t.Result)
	if t.LastExit != nil {
		e := *t.LastExit
		c.LastExit = &e
	}
	c.NodeLosses = slices.Clone(t.NodeLosses)
	c.Moves = slices.Clone(t.Moves)
	c.Refusals = slices.Clone(t.Refusals)
	return &c
}
