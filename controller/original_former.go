package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// countPatience is how long a new leader waits for the lists of Python nodes before it hands out again what has run before. It is
// reached only where Redis is away, or a node lives and writes no list.
const countPatience = 15 * time.Second

// stays names the Python node on which a process of a former run of a task may still be.
func (o *originalNodes) stays(taskID string, now time.Time) (string, bool) {
	if o == nil {
		return "", false
	}
	o.mu.Lock()
	node, beats, ok := o.bridge.Stays(taskID, now)
	o.mu.Unlock()
	return node, ok && (beats || o.cluster.isAlive(node)) // one that somebody has declared lost is waited for while the process beats
}

// former says why a task may not be handed out yet: a process of a former run may be there, and it would have two. Empty: it may.
// Every controller accepts a retry, and only the leader knows what is leaving; one that has just begun to lead does not know it
// either, before it has read what the nodes run.
func (o *originalNodes) former(ctx context.Context, taskID string) string {
	if o == nil {
		return ""
	}
	now := o.clock.Now()
	if node, ok := o.stays(taskID, now); ok {
		return fmt.Sprintf("the process of its former run may still be on Python node %s", node)
	}
	o.mu.Lock()
	counted := o.driving && (o.bridge.Counted() || now.Sub(o.since) >= countPatience)
	o.mu.Unlock()
	if counted || len(o.cluster.originalNodes()) == 0 {
		return ""
	}
	if t, err := o.store.Task(ctx, taskID); err != nil || t.Epoch == 0 { // it has never run
		return ""
	}
	return "this controller leads since a moment ago, and waits for the Python nodes to say what they run"
}

// formers are tasks that wait for a process of a former run, and stand in no line meanwhile.
type formers struct {
	mu  sync.Mutex // guards why
	why map[string]string
}

func (f *formers) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.why = map[string]string{}
}

// note notes why a task waits; empty: it does not any more.
func (f *formers) note(taskID, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why[taskID] = why; why == "" {
		delete(f.why, taskID)
	}
}

func (f *formers) of(taskID string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.why[taskID]
}

func (f *formers) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.why))
}
