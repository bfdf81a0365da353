package controller

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// requests honours the events of the original's topics as what they are here: wishes. They name tasks, nothing more; the
// store says the rest.
type requests struct {
	bus   Bus
	tasks *TaskService
	log   hclog.Logger
}

const eventWho = "event on the bus"

// Run reads events until ctx ends.
func (r *requests) Run(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		err := r.bus.Requests(ctx, func(topic string, e skalds.TaskEvent) {
			failing = false
			if e.Initiator == skalds.Initiator {
				return
			}
			for _, id := range e.TaskIDs {
				r.one(ctx, topic, id, &e)
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

func (r *requests) one(ctx context.Context, topic, id string, e *skalds.TaskEvent) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	t, err := r.tasks.store.Task(ctx, id)
	if err == nil && e.CreateDateTime > 0 && e.CreateDateTime < t.CreateDateTime {
		r.log.Debug("an event older than its task is dropped", "topic", topic, "task_id", id)
		return
	}
	switch {
	case err != nil:
	case topic == skalds.TopicTaskAssign:
		if t.LifecycleStatus == skalds.Created {
			r.tasks.dispatcher.requeue(ctx, id)
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
	switch {
	case err == nil:
		r.log.Debug("request", "topic", topic, "task_id", id)
	case errors.Is(err, skalds.ErrNotFound), errors.Is(err, skalds.ErrConflict):
		r.log.Info("a request cannot be fulfilled", "topic", topic, "task_id", id, "err", err)
	default:
		r.log.Warn("cannot fulfil a request", "topic", topic, "task_id", id, "err", err)
	}
}
