package api

import (
	"encoding/json"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/masking"
)

// TaskResponse is a task as clients see it: the fields of the original first, then ours. Secrets are masked.
type TaskResponse struct {
	ID              string          `json:"id"`
	ClassName       string          `json:"className"`
	LifecycleStatus skalds.State    `json:"lifecycleStatus"`
	Executor        *string         `json:"executor" doc:"id of its node"`
	CreateDateTime  int64           `json:"createDateTime" doc:"ms since epoch"`
	UpdateDateTime  int64           `json:"updateDateTime" doc:"ms since epoch"`
	Mode            skalds.Mode     `json:"mode"`
	Attachments     json.RawMessage `json:"attachments"`
	Heartbeat       int             `json:"heartbeat" doc:"as in the original: 0 to 199 and changing while it lives, 200 finished, -1 failed, -2 cancelled"`
	Error           *string         `json:"error" doc:"the last error that did not end it"`
	Exception       *string         `json:"exception" doc:"what ended its last attempt"`
	Priority        int             `json:"priority"`

	Name             string              `json:"name,omitempty"`
	Description      string              `json:"description,omitempty"`
	Source           string              `json:"source,omitempty"`
	IsPersistent     bool                `json:"isPersistent"`
	Dependencies     []string            `json:"dependencies,omitempty"`
	DeadlineDateTime int64               `json:"deadlineDateTime,omitempty" doc:"ms since epoch"`
	Labels           map[string]string   `json:"labels,omitempty"`
	Constraints      []string            `json:"constraints,omitempty"`
	OnDisconnect     skalds.OnDisconnect `json:"onDisconnect,omitempty"`
	Survive          bool                `json:"survive,omitempty"`
	Resources        skalds.Resources    `json:"resources"`
	Limits           skalds.Limits       `json:"limits"`
	Retry            skalds.Retry        `json:"retry"`
	Timeouts         skalds.Timeouts     `json:"timeouts"`
	Isolation        skalds.Isolation    `json:"isolation,omitzero" doc:"what it is kept from"`

	Epoch            int64           `json:"epoch"`
	Attempt          int             `json:"attempt"`
	Run              int             `json:"run"`
	Revision         int64           `json:"revision"`
	RequestedVersion string          `json:"requestedVersion,omitempty" doc:"what the creator asked for"`
	Version          string          `json:"version,omitempty" doc:"what runs, e.g. rtsp-worker@1.2.0"`
	Desired          skalds.Desired  `json:"desired,omitempty"`
	Phase            skalds.Phase    `json:"phase,omitempty" doc:"starting, backoff or stopping"`
	NextAttemptAt    int64           `json:"nextAttemptAt,omitempty" doc:"ms since epoch, in phase backoff; while Created when nodes that refused it are asked again"`
	BudgetUsed       int             `json:"budgetUsed" doc:"failures of the worker in this run, but for those that retry.oom counts"`
	MemoryFailures   int             `json:"memoryFailures,omitempty" doc:"ends for memory in this run, which retry.oom counts"`
	MemoryLimit      int64           `json:"memoryLimit,omitempty" doc:"bytes; the memory limit that ends for memory have raised limits.memoryBytes to; left out: not raised"`
	Waiting          string          `json:"waiting,omitempty" doc:"why no node runs it"`
	Quarantined      string          `json:"quarantined,omitempty" doc:"why it is held back; retry releases it"`
	StartedAt        int64           `json:"startedAt,omitempty" doc:"of the attempt, ms since epoch"`
	EndedAt          int64           `json:"endedAt,omitempty" doc:"of the task, ms since epoch"`
	Progress         skalds.Progress `json:"progress"`
	Usage            *skalds.Usage   `json:"usage" doc:"measured now; null while no process runs"`
	Peak             *skalds.Usage   `json:"peak" doc:"highest of this attempt"`
	Instance         *Instance       `json:"instance" doc:"its process; null while there is none"`
	Result           json.RawMessage `json:"result,omitempty"`
	LastExit         *skalds.Exit    `json:"lastExit" doc:"how the last attempt ended"`
}

// Instance is one process of a plugin.
type Instance struct {
	PID       int          `json:"pid"`
	StartedAt int64        `json:"startedAt"`
	State     skalds.State `json:"state,omitempty" doc:"as its node says"`
}

// TaskList is one page of tasks.
type TaskList struct {
	Items    []TaskResponse `json:"items"`
	Total    int            `json:"total"`
	Page     int            `json:"page"`
	PageSize int            `json:"pageSize"`
	Next     string         `json:"next,omitempty" doc:"cursor of the next page"`
}

func taskResponse(v controller.TaskView, now time.Time) TaskResponse {
	t := v.Task
	r := TaskResponse{
		ID: t.ID, ClassName: t.ClassName, LifecycleStatus: t.LifecycleStatus, Executor: optional(t.Executor),
		CreateDateTime: t.CreateDateTime, UpdateDateTime: t.UpdateDateTime, Mode: t.Mode, Attachments: masking.Document(t.Attachments),
		Error: optional(masking.Text(t.Error)), Exception: optional(masking.Text(t.Exception)), Priority: t.Priority,

		Name: masking.Text(t.Name), Description: masking.Text(t.Description), Source: t.Source, IsPersistent: t.IsPersistent,
		Dependencies: t.Dependencies, DeadlineDateTime: t.DeadlineDateTime, Labels: t.Labels, Constraints: t.Constraints,
		OnDisconnect: t.OnDisconnect, Survive: t.Survive, Resources: t.Resources, Limits: t.Limits, Retry: t.Retry, Timeouts: t.Timeouts,
		Isolation: t.Isolation,

		Epoch: t.Epoch, Attempt: t.Attempt, Run: t.Run, Revision: t.Revision, RequestedVersion: t.Spec.Version, Version: t.WorkerVersion,
		Desired: t.Desired, Phase: t.Phase, NextAttemptAt: t.NextAttemptAt, BudgetUsed: t.BudgetUsed,
		MemoryFailures: t.MemoryFailures, MemoryLimit: t.MemoryLimit,
		Waiting: masking.Text(t.Waiting), Quarantined: masking.Text(t.Quarantined), StartedAt: t.StartedAt, EndedAt: t.EndedAt,
		Progress: t.Progress, Result: masking.Document(t.Result), LastExit: maskExit(t.LastExit),
	}
	if r.Attachments == nil || string(r.Attachments) == "null" {
		r.Attachments = json.RawMessage("{}")
	}
	if t.PID != 0 && t.LifecycleStatus.OnNode() {
		r.Instance = &Instance{PID: t.PID, StartedAt: t.StartedAt, State: t.LifecycleStatus}
	}
	// A heartbeat is up to a second old, and may still speak of an earlier attempt than the reports that were applied since.
	if l := v.Live; l != nil && (t.LifecycleStatus.Final() || l.Epoch == t.Epoch && l.Attempt >= t.Attempt) {
		usage, peak := l.Usage, l.Peak
		r.Usage, r.Peak = &usage, &peak
		if l.PID != 0 && (r.Instance == nil || l.Attempt > t.Attempt) {
			r.Instance = &Instance{PID: l.PID, StartedAt: l.StartedAt, State: l.State}
		}
		if l.Worker != "" {
			r.Version = l.Worker
		}
		if !t.LifecycleStatus.Final() {
			r.Progress = l.Progress
			if l.Attempt > t.Attempt {
				r.Attempt, r.Phase = l.Attempt, l.Phase
			}
			if l.Error != "" {
				r.Error = optional(masking.Text(l.Error))
			}
		}
	}
	r.Heartbeat = heartbeat(t.LifecycleStatus, v.Live != nil || v.Beats, now)
	return r
}

// heartbeat is the original's number: one that changes every second while the task lives, and codes for its ends.
func heartbeat(s skalds.State, live bool, now time.Time) int {
	switch s {
	case skalds.Finished:
		return 200
	case skalds.Failed:
		return -1
	case skalds.Cancelled:
		return -2
	}
	if !live {
		return 0
	}
	return int(now.Unix() % 200)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func maskExit(e *skalds.Exit) *skalds.Exit {
	if e == nil {
		return nil
	}
	c := *e
	c.Message, c.Stack = masking.Text(c.Message), masking.Text(c.Stack)
	return &c
}
