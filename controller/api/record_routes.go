package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/masking"
)

// AttemptList is every run of a task, oldest first.
type AttemptList struct {
	Items []skalds.Attempt `json:"items"`
}

// RecordingList is what a task left behind, by reference.
type RecordingList struct {
	Items []skalds.Artifact `json:"items"`
}

// UsageHistory is what a task took, beside its limits: moments of the last two minutes, averages of ten seconds of the last
// hour, averages of a minute of before.
type UsageHistory struct {
	TaskID string               `json:"taskId"`
	Limits skalds.Limits        `json:"limits"`
	Items  []skalds.UsageSample `json:"items"`
}

// TaskHeartbeat is the original's view of a task's life.
type TaskHeartbeat struct {
	TaskID           string       `json:"taskId"`
	Heartbeat        int          `json:"heartbeat"`
	Status           skalds.State `json:"status"`
	IsAlive          bool         `json:"isAlive"`
	IsAssigning      bool         `json:"isAssigning"`
	Error            *string      `json:"error"`
	Exception        *string      `json:"exception"`
	LastUpdate       int64        `json:"lastUpdate" doc:"ms since epoch"`
	HeartbeatHistory []int        `json:"heartbeatHistory"`
}

type (
	attemptsOutput      struct{ Body AttemptList }
	recordingsOutput    struct{ Body RecordingList }
	usageOutput         struct{ Body UsageHistory }
	whyOutput           struct{ Body controller.Explanation }
	taskHeartbeatOutput struct{ Body TaskHeartbeat }
)

func (r *routes) recordRoutes() {
	handle(r, http.MethodGet, "/api/tasks/{task_id}/attempts", "List the runs of a task with their exit reports", r.attempts)
	handle(r, http.MethodGet, "/api/tasks/{task_id}/recordings", "List what a task left behind, by reference", r.recordings)
	handle(r, http.MethodGet, "/api/tasks/{task_id}/usage", "CPU and memory over time, with a peak where a sample is the average of a span", r.usage)
	handle(r, http.MethodGet, "/api/tasks/{task_id}/why", "Why a task is where it is: every node's score or refusal", r.why)
	handle(r, http.MethodGet, "/api/tasks/{task_id}/heartbeat", "Is a task alive, as in the original", r.taskHeartbeat)
}

func (r *routes) attempts(ctx context.Context, in *TaskPath) (*attemptsOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	list, err := r.tasks.Attempts(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &attemptsOutput{AttemptList{make([]skalds.Attempt, len(list))}}
	for i, a := range list {
		a.Exit, a.LogTail = maskExit(a.Exit), masking.Text(a.LogTail)
		out.Body.Items[i] = a
	}
	return out, nil
}

func (r *routes) recordings(ctx context.Context, in *TaskPath) (*recordingsOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	list, err := r.tasks.Artifacts(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &recordingsOutput{RecordingList{make([]skalds.Artifact, len(list))}}
	for i, a := range list {
		a.EndReason, a.Meta = masking.Text(a.EndReason), masking.Document(a.Meta)
		out.Body.Items[i] = a
	}
	return out, nil
}

// UsageQuery asks for a part of a task's usage history.
type UsageQuery struct {
	TaskPath
	Last string `query:"last" default:"1h" doc:"how far back from the last sample, e.g. 10m or 24h"`
}

func (r *routes) usage(ctx context.Context, in *UsageQuery) (*usageOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	last, err := time.ParseDuration(in.Last)
	if err != nil || last <= 0 {
		return nil, skalds.Invalid("the question cannot be answered", skalds.Field("last", fmt.Sprintf("%q is no duration such as 10m or 24h", in.Last)))
	}
	v, err := r.tasks.Task(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list, err := r.tasks.Usage(ctx, in.ID, last)
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []skalds.UsageSample{}
	}
	return &usageOutput{UsageHistory{TaskID: v.ID, Limits: v.CurrentLimits(), Items: list}}, nil
}

func (r *routes) why(ctx context.Context, in *TaskPath) (*whyOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	e, err := r.tasks.Why(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	e.Summary = masking.Text(e.Summary)
	if e.Candidates == nil {
		e.Candidates = []controller.Candidate{}
	}
	for i := range e.Candidates {
		e.Candidates[i].Refused = masking.Text(e.Candidates[i].Refused)
	}
	return &whyOutput{e}, nil
}

func (r *routes) taskHeartbeat(ctx context.Context, in *TaskPath) (*taskHeartbeatOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	v, err := r.tasks.Task(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	t := taskResponse(v, r.cfg.Now())
	last := t.UpdateDateTime
	if v.Live != nil {
		last = r.cfg.Now().UnixMilli()
	}
	return &taskHeartbeatOutput{TaskHeartbeat{
		TaskID: t.ID, Heartbeat: t.Heartbeat, Status: t.LifecycleStatus, IsAlive: v.Live != nil || v.Beats,
		IsAssigning: t.LifecycleStatus == skalds.Assigning, Error: t.Error, Exception: t.Exception, LastUpdate: last,
		HeartbeatHistory: []int{t.Heartbeat},
	}}, nil
}
