package api

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/masking"
)

// Event is one event of /api/events/…. The types are those of the original (connection, skald_status, skald_heartbeat,
// task_heartbeat, task_error, task_exception) and ours: task_status for every stored change of a task, reset where the
// stream has a gap, so that the client must read everything again.
type Event struct {
	Type      string `json:"type"`
	SkaldID   string `json:"skaldId,omitempty"`
	TaskID    string `json:"taskId,omitempty"`
	Message   string `json:"message,omitempty"`
	Data      any    `json:"data,omitempty"`
	Timestamp int64  `json:"timestamp,omitempty"` // ms since epoch
}

type skaldEventsInput struct {
	SkaldID     string `query:"skald_id" doc:"this node only"`
	LastEventID string `header:"Last-Event-ID" doc:"id of the last event seen: the stream goes on after it"`
}

type taskEventsInput struct {
	TaskID      string `query:"task_id" doc:"this task only"`
	LastEventID string `header:"Last-Event-ID" doc:"id of the last event seen: the stream goes on after it"`
}

type allEventsInput struct {
	LastEventID string `header:"Last-Event-ID" doc:"id of the last event seen: the stream goes on after it"`
}

// EventsStatus tells how many clients listen.
type EventsStatus struct {
	ConnectedClients int64  `json:"connectedClients"`
	Timestamp        int64  `json:"timestamp"`
	Status           string `json:"status"`
}

type eventsStatusOutput struct{ Body EventsStatus }

func (r *routes) eventRoutes() {
	var clients atomic.Int64
	stream := func(want selection, after string) *huma.StreamResponse {
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			clients.Add(1)
			defer clients.Add(-1)
			_, w := humago.Unwrap(hc)
			r.serveEvents(hc.Context(), newStreamWriter(w, r.cfg.WriteTimeout, "text/event-stream"), want, after)
		}}
	}
	sse := produces("text/event-stream")
	handle(r, http.MethodGet, "/api/events/skalds", "Events of nodes", func(_ context.Context, in *skaldEventsInput) (*huma.StreamResponse, error) {
		return stream(selection{nodes: true, node: in.SkaldID}, in.LastEventID), nil
	}, sse)
	handle(r, http.MethodGet, "/api/events/tasks", "Events of tasks", func(_ context.Context, in *taskEventsInput) (*huma.StreamResponse, error) {
		return stream(selection{tasks: true, task: in.TaskID}, in.LastEventID), nil
	}, sse)
	handle(r, http.MethodGet, "/api/events/all", "Events of nodes and tasks on one connection", func(_ context.Context, in *allEventsInput) (*huma.StreamResponse, error) {
		return stream(selection{nodes: true, tasks: true}, in.LastEventID), nil
	}, sse)
	handle(r, http.MethodGet, "/api/events/test", "An event every five seconds, to try a client", func(context.Context, *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			r.serveTestEvents(hc.Context(), newStreamWriter(w, r.cfg.WriteTimeout, "text/event-stream"))
		}}, nil
	}, sse)
	handle(r, http.MethodGet, "/api/events/status", "How many clients listen", func(context.Context, *struct{}) (*eventsStatusOutput, error) {
		return &eventsStatusOutput{EventsStatus{clients.Load(), r.now(), "active"}}, nil
	})
}

func (r *routes) now() int64 { return r.cfg.Now().UnixMilli() }

func (r *routes) serveTestEvents(ctx context.Context, w *streamWriter) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for w.err == nil {
		w.event("", Event{Type: "test", Message: "a test event", Timestamp: r.now()})
		w.flush()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// waitingEvents is how many changes may wait for one client before it is dropped; it comes back with Last-Event-ID.
const waitingEvents = 1024

type idChange struct {
	id     string
	change skalds.Change
	reset  bool
}

// serveEvents writes until the client leaves, cannot follow, or the server stops.
func (r *routes) serveEvents(ctx context.Context, w *streamWriter, want selection, after string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := make(chan idChange, waitingEvents)
	var overrun atomic.Bool
	push := func(c idChange) {
		select {
		case changes <- c:
		default:
			overrun.Store(true)
			cancel()
		}
	}
	done, listening := make(chan error, 1), make(chan struct{})
	go func() {
		done <- r.events.Subscribe(ctx, after, func() { close(listening) }, func() { push(idChange{reset: true}) }, func(id string, c skalds.Change) { push(idChange{id: id, change: c}) })
		cancel()
	}()

	translate := newTranslator(want)
	select {
	case <-listening: // who is told that it is connected misses nothing from then on
	case <-ctx.Done():
	}
	w.event("", Event{Type: "connection", Message: "connected: events follow as they happen", Timestamp: r.now()})
	w.flush()
	beat, look := time.NewTicker(r.cfg.KeepAlive), time.NewTicker(r.cfg.Pulse)
	defer beat.Stop()
	defer look.Stop()
	for w.err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case c := <-changes:
			if c.reset {
				w.event("", Event{Type: "reset", Message: "events are missing: read everything again", Timestamp: r.now()})
			}
			for _, e := range translate.change(c) {
				w.event(c.id, e)
			}
			if len(changes) == 0 {
				w.flush()
			}
		case <-look.C:
			views, err := r.pulse.view(ctx)
			if err != nil {
				continue // the next look may be luckier
			}
			events := translate.nodes(views, r.cfg.Now())
			for _, e := range events {
				w.event("", e)
			}
			if len(events) > 0 {
				w.flush()
			}
		case <-beat.C:
			w.comment("alive")
		}
	}
	cancel()
	err := <-done
	switch {
	case overrun.Load():
		r.log.Warn("an event stream was dropped: its client does not read fast enough", "request_id", requestID(ctx), "waiting", waitingEvents)
	case err != nil && ctx.Err() == nil:
		r.log.Warn("an event stream ended early", "request_id", requestID(ctx), "err", masking.Text(err.Error()))
	case w.err != nil:
		r.log.Debug("an event stream's client is gone", "request_id", requestID(ctx), "err", w.err)
	}
}
