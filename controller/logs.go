package controller

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/skalds-go/skalds"
)

// Logs asks the task's node for its log. Where the node cannot be asked, the last lines of the last attempt are what there
// is.
func (s *TaskService) Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error) {
	t, err := s.store.Task(ctx, id)
	if err != nil {
		return nil, notFound(err, id)
	}
	if t.Executor == "" {
		return s.lastLines(ctx, t, tail, "")
	}
	if !s.cluster.isAlive(t.Executor) {
		return s.lastLines(ctx, t, tail, "node "+t.Executor+", which has its log, is offline")
	}
	r, err := s.streams.open(ctx, t.Executor, skalds.StreamRequest{Kind: "logs", TaskID: id, Tail: tail, Follow: follow && !t.LifecycleStatus.Final()})
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, errNoHost):
		return s.lastLines(ctx, t, tail, "node "+t.Executor+" did not send its log within "+s.cfg.StreamTimeout.String()+"; it must reach this controller at "+s.cfg.ServerURL)
	case skalds.CodeOf(err) == skalds.CodeUnavailable:
		return s.lastLines(ctx, t, tail, err.Error())
	}
	return nil, err
}

// lastLines are those of the last attempt; without any, trouble is the error.
func (s *TaskService) lastLines(ctx context.Context, t *skalds.Task, tail int, trouble string) (io.ReadCloser, error) {
	attempts, err := s.store.Attempts(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	for i := len(attempts) - 1; i >= 0; i-- {
		if text := attempts[i].LogTail; text != "" {
			return io.NopCloser(strings.NewReader(lastOf(text, tail))), nil
		}
	}
	if trouble != "" {
		return nil, skalds.Errorf(skalds.CodeUnavailable, "the log of task %s cannot be read: %s", t.ID, trouble)
	}
	return io.NopCloser(strings.NewReader("")), nil
}

// lastOf is the last n lines of a text; all of it where n is not above zero.
func lastOf(text string, n int) string {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if n <= 0 {
		return text
	}
	at := len(text)
	for range n {
		i := strings.LastIndexByte(text[:at-1], '\n')
		if i < 0 {
			return text
		}
		at = i + 1
		if at <= 1 {
			break
		}
	}
	return text[at:]
}
