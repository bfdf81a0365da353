package controller

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// requestsStream names in the store how far requests were read.
const requestsStream = "requests"

// Bounds of carrying out requests.
const (
	requestPause = 100 * time.Millisecond // between two tries, at first; then twice that
	requestTries = 10                     // where the store answers, with something that nobody has thought of
)

// requests honours the events of the original's topics as what they are here: wishes. They name tasks, nothing more; the store says
// the rest. How far they were read is in the store, so that what comes while nobody leads is found by the next leader; the last one of
// a leader that died may be carried out twice.
type requests struct {
	store NodeStore
	bus   Bus
	tasks *TaskService
	log   hclog.Logger
}

const eventWho = "event on the bus"

// Run reads events until ctx ends.
func (r *requests) Run(ctx context.Context) error {
	from, ok := r.place(ctx)
	if !ok {
		return nil
	}
	failing := false
	for ctx.Err() == nil {
		err := r.bus.Requests(ctx, from, func(next string) {
			failing = false
			if next != from {
				from = next
				r.keep(ctx, next)
			}
		}, func(topic string, e skalds.TaskEvent, next string) {
			failing = false
			if e.Initiator != skalds.Initiator {
				for _, id := range e.TaskIDs {
					r.one(ctx, topic, id, &e)
				}
			}
			if ctx.Err() == nil {
				from = next
				r.keep(ctx, next)
			}
		})
		if ctx.Err() != nil {
			break
		}
		if !failing {
			failing = true
			r.log.Warn("cannot read requests from the bus", "err", err)
		}
		rest(ctx, time.Second)
	}
	return nil
}

// place is how far requests were read before; it is waited for.
func (r *requests) place(ctx context.Context) (from string, ok bool) {
	for try := 0; ; try++ {
		c, cancel := context.WithTimeout(ctx, storeTimeout)
		from, err := r.store.Offset(c, requestsStream)
		cancel()
		switch {
		case ctx.Err() != nil:
			return "", false
		case err == nil:
			return from, true
		case try == 0:
			r.log.Warn("cannot read how far requests were read: tried again until it works", "err", err)
		}
		rest(ctx, backedOff(try))
	}
}

// backedOff is the pause after so many failures.
func backedOff(failures int) time.Duration {
	return min(requestPause<<min(failures, 4), time.Second)
}

// keep stores how far requests were read. Where it fails the next one tries again.
func (r *requests) keep(ctx context.Context, next string) {
	c, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := r.store.SaveOffset(c, requestsStream, next); err != nil && ctx.Err() == nil {
		r.log.Warn("cannot store how far requests were read: the next leader would carry some out again", "err", err)
	}
}

// one carries out a request, for as long as that takes: a store that is away must not lose it.
func (r *requests) one(ctx context.Context, topic, id string, e *skalds.TaskEvent) {
	for try := 0; ctx.Err() == nil; try++ {
		err := r.once(ctx, topic, id, e)
		code := skalds.CodeOf(err)
		switch {
		case err == nil:
			r.log.Debug("request", "topic", topic, "task_id", id)
			return
		case code == skalds.CodeNotFound, code == skalds.CodeConflict:
			r.log.Info("a request cannot be fulfilled", "topic", topic, "task_id", id, "err", err)
			return
		case code != skalds.CodeUnavailable && (code != skalds.CodeInternal || try >= requestTries):
			r.log.Error("a request cannot be fulfilled and is dropped", "topic", topic, "task_id", id, "err", err)
			return
		case try == 0:
			r.log.Warn("cannot fulfil a request now: tried again until it works", "topic", topic, "task_id", id, "err", err)
		}
		rest(ctx, backedOff(try))
	}
}

func (r *requests) once(ctx context.Context, topic, id string, e *skalds.TaskEvent) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	t, err := r.tasks.store.Task(ctx, id)
	if err == nil && e.CreateDateTime > 0 && e.CreateDateTime < t.CreateDateTime {
		r.log.Debug("an event older than its task is dropped", "topic", topic, "task_id", id)
		return nil
	}
	switch {
	case err != nil:
	case topic == skalds.TopicTaskAssign:
		if t.LifecycleStatus == skalds.Created {
			err = r.tasks.dispatcher.requeue(ctx, id)
			r.tasks.dispatcher.created()
		}
	case topic == skalds.TopicTaskCancel:
		_, err = r.tasks.Cancel(ctx, id, eventWho)
	case topic == skalds.TopicTaskUpdate: // whoever sent it has changed the store before
		_, err = r.tasks.change(ctx, id, func(t *skalds.Task, _ int64) error {
			if t.LifecycleStatus.Final() || t.Executor == "" || r.tasks.cluster.isOriginal(t.Executor) { // a Python node reads the event itself
				return errNoChange
			}
			t.DesiredRevision++
			return nil
		})
	}
	return err
}
