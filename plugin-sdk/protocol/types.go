package protocol

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Description is what a worker executable says about itself.
type Description struct {
	Name    string  `json:"name"`
	Version string  `json:"version"` // semantic version
	Classes []Class `json:"classes"`
	SDK     string  `json:"sdk,omitempty"` // "go/0.1.0"
}

// DescribeRequest says how much of a Description is wanted.
type DescribeRequest struct {
	Brief bool // without the classes: to describe them takes longer than all the rest of a first call
}

// Class is one kind of work that a worker offers.
type Class struct {
	ClassName    string          `json:"className"`
	Description  string          `json:"description,omitempty"`
	Schema       json.RawMessage `json:"schema,omitempty"` // JSON Schema 2020-12 of the attachments
	Capabilities []string        `json:"capabilities,omitempty"`
	Resources    Amounts         `json:"resources,omitzero"` // default request
	Limits       Amounts         `json:"limits,omitzero"`    // default limits
	MaxPerNode   int             `json:"maxPerNode,omitempty"`
}

// Amounts are figures of resources or limits; 0 means not said.
type Amounts struct {
	CPUCores    float64 `json:"cpuCores,omitempty"`
	MemoryBytes int64   `json:"memoryBytes,omitempty"`
	PIDs        int     `json:"pids,omitempty"` // processes and threads
}

// The capabilities that a class can announce.
const (
	CapabilityUpdate     = "update"
	CapabilityPause      = "pause"
	CapabilityCheckpoint = "checkpoint"
	CapabilityPressure   = "pressure"
)

// RunRequest is everything that a worker is told about its task.
type RunRequest struct {
	TaskID       string
	Name         string
	ClassName    string
	Epoch        int64
	Attempt      int
	Attachments  json.RawMessage
	Stages       map[string]json.RawMessage // finished stages of former attempts
	Checkpoint   []byte
	Candidate    bool
	DataDir      string // folder for what this task writes
	Labels       map[string]string
	IsPersistent bool
	Dependencies []string

	// What follows is applied to the process before the first hook; the zero value leaves it as it was started. Workers of an
	// older SDK ignore it.
	GoMemLimitBytes int64 // negative: none
	GoMaxProcs      int
	LogLevel        string            // trace, debug, info, warn or error
	Env             map[string]string // set in the process's environment
}

// EventKind is the kind of a RunEvent.
type EventKind int

// The kinds of event. A stream ends with exactly one EventFinished.
const (
	EventStarted       EventKind = iota + 1 // Main has been entered
	EventProgress                           // Progress is set
	EventStageFinished                      // Stage and Value are set
	EventError                              // Message is set; empty: the error is over; does not end the task
	EventResult                             // Value is set
	EventContract                           // Unit and Budget are set
	EventReady                              // a candidate can take over
	EventFinished                           // Finished is set
)

// RunEvent is something that a running task says.
type RunEvent struct {
	Kind     EventKind
	Progress Progress
	Stage    string
	Value    json.RawMessage
	Message  string
	Unit     string
	Budget   time.Duration
	Finished Finished
}

// Progress is how far a task has come.
type Progress struct {
	Percent float64 // 0–100
	Units   int64
	Unit    string
	Stage   string
}

// FinishedKind says how Main came to its end.
type FinishedKind int

// The ways to end.
const (
	FinishedCompleted FinishedKind = iota + 1
	FinishedError
	FinishedPanic
	FinishedStopped // because Stop was called
)

// Finished is the last word of a task.
type Finished struct {
	Kind      FinishedKind
	Message   string
	Stack     string
	Permanent bool // no retry can cure it
	Hook      string
}

// PressureLevel says how short memory is.
type PressureLevel int

// The levels of pressure.
const (
	PressureSoft PressureLevel = iota + 1 // the soft limit was crossed
	PressureHard                          // the end is near
)

// String is the level in one word.
func (l PressureLevel) String() string {
	switch l {
	case PressureSoft:
		return "soft"
	case PressureHard:
		return "hard"
	}
	return fmt.Sprintf("level %d", int(l))
}

// Worker is served by a worker process. The host's client implements it over the wire. Every method but Run returns
// within the deadline of its context; Run blocks until the task has ended, calling emit for every event in order, on one
// goroutine; it returns an error only when the call itself failed (process dead, refused), never for a failed task.
type Worker interface {
	Describe(ctx context.Context, req DescribeRequest) (Description, error)
	Configure(ctx context.Context, goMemLimitBytes int64, goMaxProcs int) error
	Run(ctx context.Context, req RunRequest, emit func(RunEvent)) error
	Update(ctx context.Context, attachments json.RawMessage) error
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	Stop(ctx context.Context, reason string, grace time.Duration) error
	Checkpoint(ctx context.Context) ([]byte, error)
	Restore(ctx context.Context, state []byte, epoch int64) error
	Pressure(ctx context.Context, level PressureLevel, bytesOver int64) (freed int64, err error)
}

// Artifact is something that a task left behind, by reference.
type Artifact struct {
	Kind      string // "recording", "snapshot", "file"
	Path      string // absolute
	StartedAt time.Time
	EndedAt   time.Time // zero: still open
	Bytes     int64
	Duration  time.Duration
	EndReason string
	Meta      json.RawMessage // any JSON value, at most MaxArtifactMeta
}

// Check says what is wrong with an artifact; the error wraps ErrRefused.
func (a Artifact) Check() error {
	switch {
	case a.Path == "":
		return &artifactError{"the path is missing"}
	case len(a.Path) > MaxArtifactPath:
		return &artifactError{fmt.Sprintf("the path has %d bytes, at most %d are allowed", len(a.Path), MaxArtifactPath)}
	case len(a.Kind) > MaxArtifactText:
		return &artifactError{fmt.Sprintf("the kind has %d bytes, at most %d are allowed", len(a.Kind), MaxArtifactText)}
	case len(a.EndReason) > MaxArtifactText:
		return &artifactError{fmt.Sprintf("the end reason has %d bytes, at most %d are allowed", len(a.EndReason), MaxArtifactText)}
	case len(a.Meta) > MaxArtifactMeta:
		return &artifactError{fmt.Sprintf("meta has %d bytes, at most %d are allowed: write a file and report it", len(a.Meta), MaxArtifactMeta)}
	case len(a.Meta) > 0 && !json.Valid(a.Meta):
		return &artifactError{"meta is no JSON"}
	case !utf8.ValidString(a.Path + a.Kind + a.EndReason):
		return &artifactError{"path, kind or end reason is no UTF-8"}
	}
	return nil
}

// artifactError is a refusal in its own words: nothing but the artifact is at fault.
type artifactError struct{ text string }

func (e *artifactError) Error() string { return e.text }
func (e *artifactError) Unwrap() error { return ErrRefused }

// HostServices is what a host offers to one instance. Implementations must be safe for concurrent use. Writes of an
// outdated epoch fail with ErrFenced.
type HostServices interface {
	CacheGet(ctx context.Context, key string) (value []byte, found bool, err error)
	CacheSet(ctx context.Context, key string, value []byte, ttl time.Duration) error
	CacheDelete(ctx context.Context, key string) error
	ReportArtifact(ctx context.Context, a Artifact) error
	SaveCheckpoint(ctx context.Context, state []byte) error
	LoadCheckpoint(ctx context.Context) (state []byte, found bool, err error)
	Secret(ctx context.Context, name string) (string, error)
}
