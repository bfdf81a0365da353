package controller

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of looking after writes of which it is not known whether they were stored.
const (
	unclearFirst   = 100 * time.Millisecond // after a write, and after a look that got no answer; then twice that
	unclearMost    = 500 * time.Millisecond // between two looks
	unclearTimeout = time.Second            // of one look: a store that does not answer may do so the next time
	maxUnclear     = 10_000                 // tasks; the sweeps find what is beyond them
)

// unclearAgain are the pauses between looks that find a write not stored: one that was under way may be stored yet.
var unclearAgain = []time.Duration{500 * time.Millisecond, 2 * time.Second, 10 * time.Second}

// unclear looks after writes that ended in a time-out or a cut connection: they may be in the store, and then what follows from
// them is not done. As soon as the store answers again the task is read anew, and all is done that follows from what it says, as
// if it were heard of for the first time: a change that is not stored costs nothing but that.
type unclear struct {
	tasks *TaskService
	clock Clock
	log   hclog.Logger
	wake  chan struct{}

	mu    sync.Mutex // guards both
	open  map[string]unclearWrite
	nodes bool // the record of a node may have changed
}

// unclearWrite is one of them, by task.
type unclearWrite struct {
	revision int64 // that it has if it was stored
	looks    int   // that have found a lower one
	due      time.Time
}

// isUnclear reports whether a write that ended like that may be stored all the same.
func isUnclear(err error) bool {
	if err == nil || errors.Is(err, errNotLeader) || errors.Is(err, skalds.ErrRevision) {
		return false
	}
	code := skalds.CodeOf(err)
	return code == skalds.CodeUnavailable || code == skalds.CodeInternal
}

// wrote takes how the writing of a task ended; revision is what it would have.
func (u *unclear) wrote(taskID string, revision int64, err error) {
	if !isUnclear(err) {
		return
	}
	u.mu.Lock()
	if old, ok := u.open[taskID]; ok || len(u.open) < maxUnclear {
		u.open[taskID] = unclearWrite{revision: max(revision, old.revision), due: u.clock.Now().Add(unclearFirst)}
	}
	u.mu.Unlock()
	poke(u.wake)
}

// wroteNode takes how the writing of a node's record ended.
func (u *unclear) wroteNode(err error) {
	if !isUnclear(err) {
		return
	}
	u.mu.Lock()
	u.nodes = true
	u.mu.Unlock()
	poke(u.wake)
}

// Run looks until ctx ends.
func (u *unclear) Run(ctx context.Context) error {
	pause, next := unclearFirst, time.Duration(0)
	for {
		if next <= 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-u.wake:
			}
			next = unclearFirst
		}
		rest(ctx, next)
		if ctx.Err() != nil {
			return nil
		}
		if err := u.round(ctx); err != nil {
			if ctx.Err() == nil && pause == unclearFirst {
				u.log.Info("a change may be stored though the store has not said so: it is looked after as soon as the store answers", "err", err)
			}
			next = pause
			pause = min(2*pause, unclearMost)
			continue
		}
		pause, next = unclearFirst, u.nextDue()
	}
}

// round looks at all whose turn it is, until the store does not answer.
func (u *unclear) round(ctx context.Context) error {
	u.mu.Lock()
	nodes, now := u.nodes, u.clock.Now()
	u.nodes = false
	var due []string
	for id, w := range u.open {
		if !now.Before(w.due) {
			due = append(due, id)
		}
	}
	u.mu.Unlock()
	if nodes {
		if err := u.ask(ctx, func(ctx context.Context) error { return u.tasks.picture.nodes(ctx, false) }); err != nil {
			u.mu.Lock()
			u.nodes = true
			u.mu.Unlock()
			return err
		}
		u.tasks.dispatcher.freed()
	}
	for _, id := range due {
		var stored *skalds.Task
		err := u.ask(ctx, func(c context.Context) (err error) {
			stored, err = u.tasks.lookAgain(c, id)
			return err
		})
		if err != nil {
			return err
		}
		u.looked(id, stored)
	}
	return nil
}

func (u *unclear) ask(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, unclearTimeout)
	defer cancel()
	return do(ctx)
}

// looked notes what a look has found; nil: no task.
func (u *unclear) looked(id string, stored *skalds.Task) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w, ok := u.open[id]
	switch {
	case !ok:
	case stored != nil && stored.Revision >= w.revision, w.looks >= len(unclearAgain):
		delete(u.open, id)
	default:
		w.due = u.clock.Now().Add(unclearAgain[w.looks])
		w.looks++
		u.open[id] = w
	}
}

// nextDue is how long nothing is to be looked at; 0: for ever.
func (u *unclear) nextDue() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.nodes {
		return unclearFirst
	}
	if len(u.open) == 0 {
		return 0
	}
	first := slices.MinFunc(slices.Collect(maps.Values(u.open)), func(a, b unclearWrite) int { return a.due.Compare(b.due) })
	return max(first.due.Sub(u.clock.Now()), time.Millisecond)
}
