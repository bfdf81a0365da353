package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
)

// ListTasks selects tasks; zero fields select all.
type ListTasks struct {
	Page       int // from 1
	PageSize   int // default 20
	Cursor     string
	States     []skalds.State
	ClassName  string
	IDContains string
	Executor   string
	Mode       skalds.Mode
	Labels     map[string]string
}

func (l ListTasks) query() url.Values {
	q := url.Values{}
	set := func(key, value string) {
		if value != "" && value != "0" {
			q.Set(key, value)
		}
	}
	set("page", strconv.Itoa(l.Page))
	set("pageSize", strconv.Itoa(l.PageSize))
	set("cursor", l.Cursor)
	set("className", l.ClassName)
	set("id", l.IDContains)
	set("executor", l.Executor)
	set("mode", string(l.Mode))
	states := make([]string, len(l.States))
	for i, s := range l.States {
		states[i] = string(s)
	}
	set("lifecycleStatus", strings.Join(states, ","))
	for k, v := range l.Labels {
		q.Add("label", k+"="+v)
	}
	return q
}

// taskPath encodes an id, so that none can leave its place in the path.
func taskPath(id string, rest ...string) string {
	return "/api/tasks/" + skalds.FileName(id) + strings.Join(append([]string{""}, rest...), "/")
}

// CreateTask creates a task. A repeated call with the same non-empty idempotencyKey and task creates nothing new.
func (c *Client) CreateTask(ctx context.Context, t api.CreateTask, idempotencyKey string) (api.TaskResponse, error) {
	return c.create(ctx, t, idempotencyKey)
}

// CreateTaskJSON is CreateTask with a body that is already JSON, so that the server names unknown fields.
func (c *Client) CreateTaskJSON(ctx context.Context, body json.RawMessage, idempotencyKey string) (api.TaskResponse, error) {
	return c.create(ctx, body, idempotencyKey)
}

func (c *Client) create(ctx context.Context, body any, idempotencyKey string) (out api.TaskResponse, err error) {
	err = c.call(ctx, http.MethodPost, "/api/tasks/", nil, body, &out, header("Idempotency-Key", idempotencyKey))
	return out, err
}

// Task reads one task.
func (c *Client) Task(ctx context.Context, id string) (out api.TaskResponse, err error) {
	err = c.call(ctx, http.MethodGet, taskPath(id), nil, nil, &out)
	return out, err
}

// Tasks lists tasks, newest first.
func (c *Client) Tasks(ctx context.Context, l ListTasks) (out api.TaskList, err error) {
	err = c.call(ctx, http.MethodGet, "/api/tasks/", l.query(), nil, &out)
	return out, err
}

// ClassNames lists the classes of all tasks.
func (c *Client) ClassNames(ctx context.Context) (out []string, err error) {
	err = c.call(ctx, http.MethodGet, "/api/tasks/classnames", nil, nil, &out)
	return out, err
}

func (c *Client) act(ctx context.Context, id, verb string) (out api.TaskResponse, err error) {
	err = c.call(ctx, http.MethodPost, taskPath(id, verb), nil, nil, &out)
	return out, err
}

// Cancel ends a task.
func (c *Client) Cancel(ctx context.Context, id string) (api.TaskResponse, error) {
	return c.act(ctx, id, "cancel")
}

// Pause freezes a task.
func (c *Client) Pause(ctx context.Context, id string) (api.TaskResponse, error) {
	return c.act(ctx, id, "pause")
}

// Resume lets a paused task go on.
func (c *Client) Resume(ctx context.Context, id string) (api.TaskResponse, error) {
	return c.act(ctx, id, "resume")
}

// Retry runs a task again that has ended, or releases one from quarantine.
func (c *Client) Retry(ctx context.Context, id string) (api.TaskResponse, error) {
	return c.act(ctx, id, "retry")
}

// Delete cancels a task by the original's route.
func (c *Client) Delete(ctx context.Context, id string) (out api.Done[api.TaskStatus], err error) {
	err = c.call(ctx, http.MethodDelete, taskPath(id), nil, nil, &out)
	return out, err
}

// SetStatus is the original's way to cancel a task (Cancelled) and to run it again (Created).
func (c *Client) SetStatus(ctx context.Context, id string, s skalds.State) (out api.Done[api.TaskStatus], err error) {
	err = c.call(ctx, http.MethodPut, taskPath(id, "status"), nil, api.PutStatus{LifecycleStatus: s}, &out)
	return out, err
}

// UpdateAttachments replaces a task's attachments. ifRevision, when not 0, refuses it where the task has changed since.
func (c *Client) UpdateAttachments(ctx context.Context, id string, attachments json.RawMessage, ifRevision int64) (api.TaskAttachments, error) {
	match := ""
	if ifRevision != 0 {
		match = strconv.Quote(strconv.FormatInt(ifRevision, 10))
	}
	var out api.Done[api.TaskAttachments]
	err := c.call(ctx, http.MethodPut, taskPath(id, "attachments"), nil, api.PutAttachments{Attachments: attachments}, &out, header("If-Match", match))
	return out.Data, err
}

// Attempts lists the runs of a task, oldest first.
func (c *Client) Attempts(ctx context.Context, id string) ([]skalds.Attempt, error) {
	var out api.AttemptList
	err := c.call(ctx, http.MethodGet, taskPath(id, "attempts"), nil, nil, &out)
	return out.Items, err
}

// Recordings lists what a task left behind, by reference.
func (c *Client) Recordings(ctx context.Context, id string) ([]skalds.Artifact, error) {
	var out api.RecordingList
	err := c.call(ctx, http.MethodGet, taskPath(id, "recordings"), nil, nil, &out)
	return out.Items, err
}

// Usage reads CPU and memory of the time before a task was measured last.
func (c *Client) Usage(ctx context.Context, id string, last time.Duration) (out api.UsageHistory, err error) {
	err = c.call(ctx, http.MethodGet, taskPath(id, "usage"), url.Values{"last": {last.String()}}, nil, &out)
	return out, err
}

// Why explains where a task is, or why it is nowhere.
func (c *Client) Why(ctx context.Context, id string) (out controller.Explanation, err error) {
	err = c.call(ctx, http.MethodGet, taskPath(id, "why"), nil, nil, &out)
	return out, err
}

// TaskHeartbeat is the original's view of a task's life.
func (c *Client) TaskHeartbeat(ctx context.Context, id string) (out api.TaskHeartbeat, err error) {
	err = c.call(ctx, http.MethodGet, taskPath(id, "heartbeat"), nil, nil, &out)
	return out, err
}

// Logs reads the last lines of a task's log; with follow it goes on until ctx ends. The caller closes it.
func (c *Client) Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error) {
	q := url.Values{"tail": {strconv.Itoa(tail)}, "follow": {strconv.FormatBool(follow)}}
	res, err := c.open(ctx, http.MethodGet, taskPath(id, "logs"), q, nil, header("Accept", "text/plain"))
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}
