package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// TaskPath is the part of a path that names a task.
type TaskPath struct {
	ID string `path:"task_id" doc:"id of the task"`
}

func (p *TaskPath) check() error { return checkID("task_id", p.ID) }

func checkID(field, id string) error {
	if err := skalds.ValidateID(id); err != nil {
		return skalds.Invalid("the path holds no usable id", skalds.Field(field, err.Error()))
	}
	return nil
}

type taskOutput struct {
	ETag string `header:"ETag"`
	Body TaskResponse
}

type listInput struct {
	Page            int      `query:"page" default:"1" minimum:"1"`
	PageSize        int      `query:"pageSize" default:"20" minimum:"1" maximum:"500"`
	LifecycleStatus []string `query:"lifecycleStatus" doc:"one state, or several with commas"`
	ClassName       string   `query:"className"`
	ID              string   `query:"id" doc:"a part of the id, whatever its case"`
	Executor        string   `query:"executor" doc:"id of the node"`
	Mode            string   `query:"mode" enum:"Active,Passive,PassiveProcess"`
	Label           []string `query:"label,explode" doc:"key=value, may be repeated"`
	Cursor          string   `query:"cursor" doc:"next of the page before; page is ignored then"`
}

type listOutput struct{ Body TaskList }

type classNamesOutput struct{ Body []string }

// Done is the original's answer to a change.
type Done[T any] struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
	Data    T      `json:"data"`
}

// TaskStatus is a task's id and state.
type TaskStatus struct {
	TaskID string       `json:"taskId"`
	Status skalds.State `json:"status"`
}

type statusOutput struct{ Body Done[TaskStatus] }

// PutStatus is the body of PUT /api/tasks/{task_id}/status.
type PutStatus struct {
	LifecycleStatus skalds.State `json:"lifecycleStatus" enum:"Created,Cancelled"`
}

type statusInput struct {
	TaskPath
	RawBody []byte `contentType:"application/json"`
}

func (r *routes) taskRoutes() {
	handle(r, http.MethodGet, "/api/tasks/", "List tasks, newest first", r.listTasks)
	handle(r, http.MethodPost, "/api/tasks/", "Create a task", r.createTask, status(http.StatusCreated), body[CreateTask](r))
	handle(r, http.MethodGet, "/api/tasks/classnames", "List the classes of all tasks", func(ctx context.Context, _ *struct{}) (*classNamesOutput, error) {
		names, err := r.tasks.ClassNames(ctx)
		if names == nil {
			names = []string{}
		}
		return &classNamesOutput{names}, err
	})
	handle(r, http.MethodGet, "/api/tasks/{task_id}", "Read one task", r.getTask)
	handle(r, http.MethodDelete, "/api/tasks/{task_id}", "Cancel a task, as in the original", r.deleteTask)
	handle(r, http.MethodPut, "/api/tasks/{task_id}/status", "Cancel a task, or run one again that has ended", r.putStatus, body[PutStatus](r))
	handle(r, http.MethodPut, "/api/tasks/{task_id}/attachments", "Change a task's parameters, while it runs where its worker can", r.putAttachments, body[PutAttachments](r))
	for _, a := range []struct {
		verb, summary string
		do            func(context.Context, string, string) (controller.TaskView, error)
	}{
		{"cancel", "Cancel a task", r.tasks.Cancel},
		{"pause", "Freeze a task; it keeps its state and uses no CPU", r.tasks.Pause},
		{"resume", "Let a paused task go on", r.tasks.Resume},
		{"retry", "Run a task again that has ended, or release one from quarantine", r.tasks.Retry},
	} {
		handle(r, http.MethodPost, "/api/tasks/{task_id}/"+a.verb, a.summary, func(ctx context.Context, in *TaskPath) (*taskOutput, error) {
			if err := in.check(); err != nil {
				return nil, err
			}
			v, err := a.do(ctx, in.ID, who(ctx))
			return r.taskAnswer(v, err)
		}, status(http.StatusAccepted))
	}
}

func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }

func (r *routes) taskAnswer(v controller.TaskView, err error) (*taskOutput, error) {
	if err != nil {
		return nil, err
	}
	return &taskOutput{ETag: etag(v.Revision), Body: taskResponse(v, r.cfg.Now())}, nil
}

func (r *routes) getTask(ctx context.Context, in *TaskPath) (*taskOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return r.taskAnswer(r.tasks.Task(ctx, in.ID))
}

func (r *routes) listTasks(ctx context.Context, in *listInput) (*listOutput, error) {
	f := controller.TaskFilter{
		ClassName: in.ClassName, Executor: in.Executor, IDContains: in.ID, Mode: skalds.Mode(in.Mode),
		Offset: (in.Page - 1) * in.PageSize, Limit: in.PageSize, Cursor: in.Cursor,
	}
	var errs []error
	if in.Page > 1_000_000 {
		errs = append(errs, skalds.Field("page", "is too large: use cursor to read long lists"))
	}
	for _, s := range in.LifecycleStatus {
		state := skalds.State(s)
		if !state.Valid() {
			errs = append(errs, skalds.Field("lifecycleStatus", fmt.Sprintf("%q is none of %v", s, skalds.States())))
		}
		f.States = append(f.States, state)
	}
	for _, l := range in.Label {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			errs = append(errs, skalds.Field("label", fmt.Sprintf("%q is not of the form key=value", l)))
			continue
		}
		if f.Labels == nil {
			f.Labels = map[string]string{}
		}
		f.Labels[key] = value
	}
	if err := errors.Join(errs...); err != nil {
		return nil, skalds.Invalid("the list cannot be filtered so", err)
	}
	items, total, next, err := r.tasks.Tasks(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &listOutput{TaskList{Items: make([]TaskResponse, len(items)), Total: total, Page: in.Page, PageSize: in.PageSize, Next: next}}
	now := r.cfg.Now()
	for i, v := range items {
		out.Body.Items[i] = taskResponse(v, now)
	}
	return out, nil
}

func (r *routes) deleteTask(ctx context.Context, in *TaskPath) (*statusOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	v, err := r.tasks.Cancel(ctx, in.ID, who(ctx))
	return statusAnswer(v, err)
}

func (r *routes) putStatus(ctx context.Context, in *statusInput) (*statusOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	b, err := decodeBody[PutStatus](r, in.RawBody)
	if err != nil {
		return nil, err
	}
	if b.LifecycleStatus == skalds.Created {
		v, err := r.tasks.Retry(ctx, in.ID, who(ctx))
		return statusAnswer(v, err)
	}
	v, err := r.tasks.Cancel(ctx, in.ID, who(ctx))
	return statusAnswer(v, err)
}

func statusAnswer(v controller.TaskView, err error) (*statusOutput, error) {
	if err != nil {
		return nil, err
	}
	return &statusOutput{Done[TaskStatus]{
		Success: true, Message: fmt.Sprintf("task %s is %s", v.ID, v.LifecycleStatus), Data: TaskStatus{v.ID, v.LifecycleStatus},
	}}, nil
}
