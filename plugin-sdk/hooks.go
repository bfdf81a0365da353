package sdk

import (
	"context"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// Worker is what an author writes for a class whose attachments are an A. Only Main is required; every other hook is a
// small interface that the same type may implement, found by assertion and announced in Describe.
//
// Order of one attempt, all on the task's own goroutine: Restore (with a checkpoint only), Before, Main, After (Main
// returned nil), OnError (a hook failed or panicked), Release (always).
type Worker[A any] interface {
	// Main does the work. Returning nil finishes the task; an error fails the attempt, which the retry policy may repeat;
	// Permanent(err) ends the task at once. ctx ends when the task is stopped: return soon, with or without an error.
	Main(ctx context.Context, t *Task[A]) error
}

// Beforer runs once before Main. An error fails the attempt; Main and After are not called.
type Beforer[A any] interface {
	Before(ctx context.Context, t *Task[A]) error
}

// Afterer runs once after a Main that returned nil, never after a stop. An error fails the attempt.
type Afterer[A any] interface {
	After(ctx context.Context, t *Task[A]) error
}

// Releaser runs exactly once at the end of every attempt, also after an error, a panic or a stop: close what was opened.
// ctx ends with the stop's grace; a process that is killed does not get here.
type Releaser[A any] interface {
	Release(ctx context.Context, t *Task[A]) error
}

// OnErrorer is told once of what made Before, Main or After fail, a panic included, before Release. Not called for a stop.
type OnErrorer[A any] interface {
	OnError(ctx context.Context, t *Task[A], err error)
}

// Updater is asked when the attachments are changed while the task runs: t.Attachments() is the new value, old the former
// one. An error refuses the change and the old value holds. It runs on the task's goroutine at a safe point (Task.Sleep,
// Task.Yield, the borders of a stage), so that it never meets Main; with ConcurrentHooks at once on a goroutine of its own.
// Without this hook the value is exchanged and Main sees it at its next t.Attachments().
type Updater[A any] interface {
	Update(ctx context.Context, t *Task[A], old A) error
}

// Pauser is asked to pause and resume: after Pause returns the task must use no CPU worth the name. It runs where Update
// runs. Without ConcurrentHooks the task's goroutine is held between Pause and Resume. A Pause that takes longer than the
// host waits (10 s; ctx ends then) is followed by Resume at once, since the host has frozen the process instead. A class without it is frozen by the
// host from outside, which needs no code at all.
type Pauser[A any] interface {
	Pause(ctx context.Context, t *Task[A]) error
	Resume(ctx context.Context, t *Task[A]) error
}

// Checkpointer gives the task's state, at most 1 MiB, and starts from one. Checkpoint runs where Update runs; Restore once
// before Before, when there is a state to start from.
type Checkpointer[A any] interface {
	Checkpoint(ctx context.Context, t *Task[A]) ([]byte, error)
	Restore(ctx context.Context, t *Task[A], state []byte) error
}

// PressureReliever is told that memory is short, and returns how many bytes it gave up. The host calls it when the task's
// processes hold 80 % of their memory limit: again every 5 s while they do, and again when they do after they had fallen below
// 70 %. One call at a time; ctx ends after 5 s. It runs at once, on a goroutine of its own, whatever the other hooks do: guard what it
// touches. Where something was given up, the Go heap is collected and returned to the system before the host hears of it. The
// host measures whether that has helped; an error, or a panic, is told in the exit report and does not end the task.
type PressureReliever[A any] interface {
	OnPressure(ctx context.Context, t *Task[A], p Pressure) (freed int64, err error)
}

// Pressure is how short memory is.
type Pressure struct {
	Level PressureLevel
	Bytes int64 // how much to give up, of memory that the task's processes hold
}

// PressureLevel grows with the need. Hosts may come to know more levels than this version.
type PressureLevel = protocol.PressureLevel

// The levels of pressure.
const (
	PressureSoft = protocol.PressureSoft // the soft limit was crossed: give up what is easily made again
	PressureHard = protocol.PressureHard // the end is near: give up whatever you can; no host of this version says so
)
