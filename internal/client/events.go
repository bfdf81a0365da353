package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Event is one event of the stream; Data depends on Type, see api.Event.
type Event struct {
	ID        string          `json:"-"` // to go on after it; empty for events that cannot be repeated
	Type      string          `json:"type"`
	SkaldID   string          `json:"skaldId,omitempty"`
	TaskID    string          `json:"taskId,omitempty"`
	Message   string          `json:"message,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Timestamp int64           `json:"timestamp,omitempty"` // ms since epoch
}

// ListenTo selects events; the zero value selects all.
type ListenTo struct {
	TaskID string // events of this task
	NodeID string // events of this node
	Tasks  bool   // events of all tasks
	Nodes  bool   // events of all nodes
	After  string // id of the last event seen; empty: from now on
}

func (l ListenTo) path() (string, url.Values) {
	switch {
	case l.TaskID != "":
		return "/api/events/tasks", url.Values{"task_id": {l.TaskID}}
	case l.NodeID != "":
		return "/api/events/skalds", url.Values{"skald_id": {l.NodeID}}
	case l.Tasks && !l.Nodes:
		return "/api/events/tasks", nil
	case l.Nodes && !l.Tasks:
		return "/api/events/skalds", nil
	}
	return "/api/events/all", nil
}

// Events calls fn for every event until ctx ends, fn fails (its error comes back) or the server ends the stream (nil).
func (c *Client) Events(ctx context.Context, l ListenTo, fn func(Event) error) error {
	path, q := l.path()
	res, err := c.open(ctx, http.MethodGet, path, q, nil, header("Accept", "text/event-stream"), header("Last-Event-ID", l.After))
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // a stream that has been left
	err = readEvents(res.Body, fn)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// maxEvent bounds one line of the stream.
const maxEvent = 4 << 20

func readEvents(from io.Reader, fn func(Event) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 16<<10), maxEvent)
	var id string
	var data strings.Builder
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			if data.Len() == 0 {
				continue
			}
			e := Event{ID: id}
			err := json.Unmarshal([]byte(data.String()), &e)
			data.Reset()
			id = ""
			if err != nil {
				return fmt.Errorf("read an event: %w", err)
			}
			if err := fn(e); err != nil {
				return err
			}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "data":
			if data.Len() > 0 {
				data.WriteByte('\n')
			}
			data.WriteString(value)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}
