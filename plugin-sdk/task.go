package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// Task is what a worker knows of the work it was given, and its way to talk about it. All methods are safe for concurrent
// use, but Sleep, Yield and stages belong to the task's own goroutine.
type Task[A any] struct {
	req      protocol.RunRequest
	log      hclog.Logger
	services protocol.HostServices
	out      *outbox
	mail     *mailbox

	attachments atomic.Pointer[A]

	mu       sync.Mutex // guards progress, units and stages
	progress protocol.Progress
	units    map[string]int64 // counted so far, of each name
	stages   map[string]json.RawMessage

	pausedMu sync.Mutex // guards resumed
	resumed  chan struct{}
}

// ID is the task's id.
func (t *Task[A]) ID() string { return t.req.TaskID }

// Name is the task's name, the id where none was given.
func (t *Task[A]) Name() string {
	if t.req.Name == "" {
		return t.req.TaskID
	}
	return t.req.Name
}

// Epoch is the number of the assignment. Files that a worker writes itself should carry it in their names.
func (t *Task[A]) Epoch() int64 { return t.req.Epoch }

// Attempt counts the runs of this assignment, from 1.
func (t *Task[A]) Attempt() int { return t.req.Attempt }

// Labels are the task's labels. Do not change the map.
func (t *Task[A]) Labels() map[string]string { return t.req.Labels }

// Persistent reports whether the task is meant to run for ever.
func (t *Task[A]) Persistent() bool { return t.req.IsPersistent }

// DataDir is the folder for what this task writes. It exists.
func (t *Task[A]) DataDir() string { return t.req.DataDir }

// Attachments is the current value; it changes only by an update.
func (t *Task[A]) Attachments() A { return *t.attachments.Load() }

// Log is the task's logger.
func (t *Task[A]) Log() hclog.Logger { return t.log }

// Progress says how far the task is, in percent (0–100; what is outside is cut).
func (t *Task[A]) Progress(percent float64) {
	t.change(func(p *protocol.Progress) { p.Percent = min(max(percent, 0), 100) })
}

// AddUnits counts n more units of work ("frames", "items"). Each name has a count of its own: the one that Promise names is
// the proof of life.
func (t *Task[A]) AddUnits(unit string, n int64) {
	t.count(unit, func(so int64) int64 { return so + n })
}

// Units sets the count of units to n, for work that knows its total; it never counts backwards.
func (t *Task[A]) Units(unit string, n int64) {
	t.count(unit, func(so int64) int64 { return max(so, n) })
}

func (t *Task[A]) count(unit string, next func(so int64) int64) {
	t.change(func(p *protocol.Progress) {
		if t.units == nil {
			t.units = map[string]int64{}
		}
		t.units[unit] = next(t.units[unit])
		p.Unit, p.Units = unit, t.units[unit]
	})
}

// Promise is a contract: at least one new unit of that name per budget, counted from now on. Neither other units nor percent
// keep it; where the unit is "", any progress does. A task that breaks it is stalled: its host ends the attempt with a
// report. A new promise takes the place of the last; a budget of 0 withdraws it.
func (t *Task[A]) Promise(unit string, budget time.Duration) {
	t.out.put(protocol.RunEvent{Kind: protocol.EventContract, Unit: unit, Budget: budget})
}

func (t *Task[A]) change(f func(*protocol.Progress)) {
	t.mu.Lock()
	f(&t.progress)
	p := t.progress
	t.out.put(protocol.RunEvent{Kind: protocol.EventProgress, Progress: p})
	t.mu.Unlock()
}

// Error tells of something that is wrong but does not end the task, such as a camera that is away. ClearError ends it.
func (t *Task[A]) Error(format string, args ...any) {
	t.out.put(protocol.RunEvent{Kind: protocol.EventError, Message: fmt.Sprintf(format, args...)})
}

// ClearError says that what Error told of is over.
func (t *Task[A]) ClearError() { t.out.put(protocol.RunEvent{Kind: protocol.EventError}) }

// Result sets the task's result, any JSON value of at most 128 KiB; the last one holds. Larger things are artifacts.
func (t *Task[A]) Result(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if len(b) > protocol.MaxResult {
		return fmt.Errorf("result of %d bytes is larger than the %d allowed: write a file and report it as an artifact", len(b), protocol.MaxResult)
	}
	t.out.put(protocol.RunEvent{Kind: protocol.EventResult, Value: b})
	return nil
}

// Artifact is something that a task left behind, by reference: a recording, a snapshot, a file.
type Artifact = protocol.Artifact

// Artifact reports something that the task left behind; the same path again replaces it. Meta is JSON of at most 16 KiB.
func (t *Task[A]) Artifact(ctx context.Context, a Artifact) error {
	if err := a.Check(); err != nil {
		return fmt.Errorf("report artifact: %w", err)
	}
	return t.services.ReportArtifact(ctx, a)
}

// SaveCheckpoint stores at most 1 MiB of state, which LoadCheckpoint gives to this or a later attempt, on this node.
func (t *Task[A]) SaveCheckpoint(ctx context.Context, state []byte) error {
	if len(state) > protocol.MaxCheckpoint {
		return tooLarge("checkpoint", len(state), protocol.MaxCheckpoint)
	}
	return t.services.SaveCheckpoint(ctx, state)
}

// LoadCheckpoint reads the state last saved.
func (t *Task[A]) LoadCheckpoint(ctx context.Context) (state []byte, found bool, err error) {
	return t.services.LoadCheckpoint(ctx)
}

// Secret reads a secret of the node. `${secret:NAME}` inside a string of the attachments has been replaced already.
func (t *Task[A]) Secret(ctx context.Context, name string) (string, error) {
	return t.services.Secret(ctx, name)
}

// CacheGet reads from the cache that all attempts of this task share.
func (t *Task[A]) CacheGet(ctx context.Context, key string) (value []byte, found bool, err error) {
	return t.services.CacheGet(ctx, key)
}

// CacheSet writes to the cache, at most 1 MiB; ttl counts in whole seconds, 0 is one hour.
func (t *Task[A]) CacheSet(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if len(value) > protocol.MaxCacheValue {
		return tooLarge("cache value", len(value), protocol.MaxCacheValue)
	}
	return t.services.CacheSet(ctx, key, value, ttl)
}

// CacheDelete removes from the cache.
func (t *Task[A]) CacheDelete(ctx context.Context, key string) error {
	return t.services.CacheDelete(ctx, key)
}

// Yield is a safe point: waiting Update, Pause and Checkpoint hooks run here. It returns the context's cause when the
// task is being stopped. Call it from the task's goroutine in loops that do not Sleep.
func (t *Task[A]) Yield(ctx context.Context) error {
	t.mail.drain()
	t.waitWhilePaused(ctx)
	return context.Cause(ctx)
}

// Sleep waits for d, serving hooks meanwhile. It returns early, with the cause, when the task is being stopped.
func (t *Task[A]) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		t.waitWhilePaused(ctx)
		select {
		case c := <-t.mail.calls:
			c.run()
		case <-timer.C:
			return t.Yield(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hold makes the task's goroutine wait at its safe points until release.
func (t *Task[A]) hold() {
	t.pausedMu.Lock()
	defer t.pausedMu.Unlock()
	if t.resumed == nil {
		t.resumed = make(chan struct{})
	}
}

func (t *Task[A]) release() {
	t.pausedMu.Lock()
	defer t.pausedMu.Unlock()
	if t.resumed != nil {
		close(t.resumed)
		t.resumed = nil
	}
}

func (t *Task[A]) waitWhilePaused(ctx context.Context) {
	for {
		t.pausedMu.Lock()
		resumed := t.resumed
		t.pausedMu.Unlock()
		if resumed == nil {
			return
		}
		select {
		case <-resumed:
		case c := <-t.mail.calls:
			c.run()
		case <-ctx.Done():
			return
		}
	}
}
