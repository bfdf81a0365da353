package client

import (
	"context"
	"errors"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

const (
	waitRefetch   = time.Second      // between two reads where no event comes
	waitTolerance = 30 * time.Second // how long the server may be away, for example while it restarts
)

// Wait returns the task when it has ended: Finished, Failed or Cancelled. It hears of it by the event stream, and reads the
// task every second besides, so that no lost event can hold it up.
func (c *Client) Wait(ctx context.Context, id string) (api.TaskResponse, error) {
	return c.WaitFor(ctx, id, func(t api.TaskResponse) bool { return t.LifecycleStatus.Final() })
}

// WaitFor returns the task as soon as done says so of it.
func (c *Client) WaitFor(ctx context.Context, id string, done func(api.TaskResponse) bool) (api.TaskResponse, error) {
	t, err := c.Task(ctx, id)
	if err != nil || done(t) {
		return t, err
	}
	ctx, cancel := context.WithCancel(ctx)
	changed := make(chan struct{}, 1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.listen(ctx, id, changed)
	}()
	defer func() {
		cancel()
		<-gone
	}()
	tick := time.NewTicker(waitRefetch)
	defer tick.Stop()
	var away time.Time
	for {
		select {
		case <-ctx.Done():
			return t, context.Cause(ctx)
		case <-tick.C:
		case <-changed:
		}
		now, err := c.Task(ctx, id)
		switch {
		case err == nil:
			away, t = time.Time{}, now
			if done(t) {
				return t, nil
			}
		case ctx.Err() != nil:
			return t, context.Cause(ctx)
		case !errors.Is(err, skalds.ErrUnavailable):
			return t, err
		case away.IsZero():
			away = time.Now()
		case time.Since(away) > waitTolerance:
			return t, err
		}
	}
}

// listen says that a task has changed, until ctx ends; a broken stream is opened again.
func (c *Client) listen(ctx context.Context, id string, changed chan<- struct{}) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		// Whatever breaks the stream, WaitFor reads the task every second and sees what is wrong.
		_ = c.Events(ctx, ListenTo{TaskID: id}, func(e Event) error {
			if e.Type == "task_heartbeat" {
				return nil
			}
			select {
			case changed <- struct{}{}:
			default:
			}
			return nil
		})
		pause.Reset(waitRefetch)
	}
}
