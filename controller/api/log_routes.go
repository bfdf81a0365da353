package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/skalds-go/skalds/controller/masking"
)

type logsInput struct {
	TaskPath
	Tail   int    `query:"tail" default:"200" minimum:"0" maximum:"100000" doc:"last lines"`
	Follow bool   `query:"follow" doc:"go on with new lines until the client leaves"`
	Accept string `header:"Accept" doc:"text/event-stream: one event per line"`
}

// LogEvent is one event of a log as event stream; Type is "log", or "end" after the last line.
type LogEvent struct {
	Type string `json:"type"`
	Line string `json:"line,omitempty"`
}

func (r *routes) logRoutes() {
	handle(r, http.MethodGet, "/api/tasks/{task_id}/logs", "The last lines of a task's log, and those to come", r.logs,
		produces("text/plain", "text/event-stream"))
}

func (r *routes) logs(ctx context.Context, in *logsInput) (*huma.StreamResponse, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	lines, err := r.tasks.Logs(ctx, in.ID, in.Tail, in.Follow)
	if err != nil {
		cancel()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer cancel()
		_, w := humago.Unwrap(hc)
		if strings.Contains(in.Accept, "text/event-stream") {
			r.logEvents(ctx, cancel, newStreamWriter(w, r.cfg.WriteTimeout, "text/event-stream"), lines)
			return
		}
		r.logText(ctx, cancel, newStreamWriter(w, r.cfg.WriteTimeout, "text/plain; charset=utf-8"), lines)
	}}, nil
}

// Bounds of what is held of a log.
const (
	maxLine     = 2 << 20 // of one line; hosts write shorter ones, and what were longer would come in pieces
	linesAtHand = 8       // that the client has not taken yet
)

// readLines hands every line to fn, masked, with whether more is at hand, until fn returns false or the log ends.
func readLines(from io.Reader, fn func(line string, more bool) bool) error {
	b := bufio.NewReaderSize(from, 64<<10)
	var begun []byte // of a line that is longer than the buffer
	for {
		line, err := b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) && len(begun)+len(line) < maxLine {
			begun = append(begun, line...)
			continue
		}
		if len(begun) > 0 {
			line, begun = append(begun, line...), nil
		}
		if len(line) > 0 && !fn(masking.Text(strings.TrimRight(string(line), "\r\n")), b.Buffered() > 0) {
			return nil
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// pump reads the log on a goroutine of its own, because a read may last for hours. It has ended when stop returns.
func (r *routes) pump(ctx context.Context, cancel func(), from io.ReadCloser) (lines <-chan logLine, stop func()) {
	out := make(chan logLine, linesAtHand)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(out)
		err := readLines(from, func(line string, more bool) bool {
			select {
			case out <- logLine{line, more}:
				return true
			case <-ctx.Done():
				return false
			}
		})
		if err != nil && ctx.Err() == nil {
			r.log.Warn("a log ended early", "request_id", requestID(ctx), "err", masking.Text(err.Error()))
		}
	}()
	return out, func() {
		cancel()
		if err := from.Close(); err != nil {
			r.log.Debug("cannot close a log", "request_id", requestID(ctx), "err", err)
		}
		<-done
	}
}

type logLine struct {
	text string
	more bool
}

func (r *routes) logText(ctx context.Context, cancel func(), w *streamWriter, from io.ReadCloser) {
	lines, stop := r.pump(ctx, cancel, from)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case l, ok := <-lines:
			if !ok {
				w.flush()
				return
			}
			w.write(l.text + "\n")
			if !l.more {
				w.flush()
			}
			if w.err != nil {
				return
			}
		}
	}
}

func (r *routes) logEvents(ctx context.Context, cancel func(), w *streamWriter, from io.ReadCloser) {
	lines, stop := r.pump(ctx, cancel, from)
	defer stop()
	beat := time.NewTicker(r.cfg.KeepAlive)
	defer beat.Stop()
	for w.err == nil {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			w.comment("alive")
		case l, ok := <-lines:
			if !ok {
				w.event("", LogEvent{Type: "end"})
				w.flush()
				return
			}
			w.event("", LogEvent{Type: "log", Line: l.text})
			if !l.more {
				w.flush()
			}
		}
	}
}
