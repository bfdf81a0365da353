package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// narrowBus is a bus that takes no message about the task "big".
type narrowBus struct {
	Bus
	sent []string
}

func (b *narrowBus) take(taskIDs ...string) error {
	e := &skalds.UnsendableError{}
	for i, id := range taskIDs {
		if id == "big" {
			e.Messages = append(e.Messages, skalds.Unsendable{Index: i, Err: errors.New("too large")})
		} else {
			b.sent = append(b.sent, id)
		}
	}
	if len(e.Messages) > 0 {
		return e
	}
	return nil
}

func (b *narrowBus) Send(_ context.Context, _ int32, msgs ...skalds.NodeMessage) error {
	var ids []string
	for _, m := range msgs {
		ids = append(ids, m.Command.TaskID)
	}
	return b.take(ids...)
}

func (b *narrowBus) PublishChange(_ context.Context, changes ...skalds.Change) error {
	var ids []string
	for _, c := range changes {
		ids = append(ids, c.TaskID)
	}
	return b.take(ids...)
}

func TestAMessageThatCannotBeSentHoldsUpNoOther(t *testing.T) {
	t.Run("commands", func(t *testing.T) {
		var said strings.Builder
		b := &narrowBus{}
		o := newOutbox(func() int64 { return 1 }, b, nil, hclog.New(&hclog.LoggerOptions{Output: &said}))
		var msgs []skalds.NodeMessage
		for range 2 * sendBatch {
			msgs = append(msgs, skalds.NodeMessage{NodeID: "n1", Command: &skalds.Command{TaskID: "small"}})
		}
		msgs[7].Command.TaskID = "big"
		o.deliver(t.Context(), 0, msgs)
		if len(b.sent) != len(msgs)-1 {
			t.Errorf("%d of %d messages went out", len(b.sent), len(msgs)-1)
		}
		if !strings.Contains(said.String(), "task_id=big") {
			t.Errorf("the culprit is not named: %s", said.String())
		}
	})
	t.Run("changes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &narrowBus{}
			p := newPublisher("c", func() int64 { return 1 }, b, hclog.NewNullLogger())
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			for _, id := range []string{"a", "big", "b"} {
				p.publish(skalds.Change{Type: skalds.ChangeTask, TaskID: id})
			}
			synctest.Wait()
			if !slices.Equal(b.sent, []string{"a", "b"}) {
				t.Errorf("announced: %v", b.sent)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
}
