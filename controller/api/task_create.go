package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/masking"
)

// CreateTask is the body of POST /api/tasks/.
type CreateTask struct {
	ClassName        string              `json:"className" doc:"the class of work; GET /api/workers lists them"`
	Attachments      json.RawMessage     `json:"attachments,omitempty" doc:"parameters, checked against the class's schema"`
	ID               string              `json:"id,omitempty" doc:"1 to 128 bytes; left out: one is made"`
	Name             string              `json:"name,omitempty"`
	Description      string              `json:"description,omitempty"`
	Source           string              `json:"source,omitempty"`
	Version          string              `json:"version,omitempty" doc:"constraint on the worker's version, e.g. ^1.2"`
	Mode             skalds.Mode         `json:"mode,omitempty"`
	IsPersistent     bool                `json:"isPersistent,omitempty" doc:"true: run again for ever unless retry says otherwise"`
	Priority         int                 `json:"priority,omitempty" doc:"0 to 10, 10 is the most urgent"`
	Resources        skalds.Resources    `json:"resources,omitzero" doc:"what to reserve"`
	Limits           skalds.Limits       `json:"limits,omitzero" doc:"what to enforce"`
	Retry            skalds.Retry        `json:"retry,omitzero"`
	Timeouts         skalds.Timeouts     `json:"timeouts,omitzero"`
	Isolation        skalds.Isolation    `json:"isolation,omitzero" doc:"what to keep it from; nodes that cannot do it are not chosen"`
	Dependencies     []string            `json:"dependencies,omitempty"`
	DeadlineDateTime int64               `json:"deadlineDateTime,omitempty" doc:"ms since epoch"`
	Labels           map[string]string   `json:"labels,omitempty"`
	Constraints      []string            `json:"constraints,omitempty" doc:"on labels of nodes: zone=a, gpu, arch!=arm64"`
	OnDisconnect     skalds.OnDisconnect `json:"onDisconnect,omitempty" doc:"stop or keep"`
	Survive          bool                `json:"survive,omitempty"`
}

func (c *CreateTask) spec() skalds.Spec {
	return skalds.Spec{
		ID: c.ID, ClassName: c.ClassName, Name: c.Name, Description: c.Description, Source: c.Source, Mode: c.Mode,
		IsPersistent: c.IsPersistent, Priority: c.Priority, Version: c.Version, Attachments: c.Attachments, Resources: c.Resources,
		Limits: c.Limits, Retry: c.Retry, Timeouts: c.Timeouts, Isolation: c.Isolation, Labels: c.Labels, Constraints: c.Constraints,
		OnDisconnect: c.OnDisconnect, Survive: c.Survive, Dependencies: c.Dependencies, DeadlineDateTime: c.DeadlineDateTime,
	}
}

type createInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"256" doc:"a repeated request with the same key and body creates nothing and gets the first answer"`
	RawBody        []byte `contentType:"application/json"`
}

type createOutput struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     TaskResponse
}

func (r *routes) createTask(ctx context.Context, in *createInput) (*createOutput, error) {
	c, err := decodeBody[CreateTask](r, in.RawBody)
	if err != nil {
		return nil, err
	}
	if c.Attachments, err = object("attachments", c.Attachments); err != nil {
		return nil, err
	}
	if err := masking.Refuse(c.Attachments); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(in.RawBody)
	v, _, err := r.tasks.Create(ctx, controller.CreateRequest{
		Spec: c.spec(), IdempotencyKey: in.IdempotencyKey, BodyHash: hex.EncodeToString(sum[:]), Who: who(ctx),
	})
	if err != nil {
		return nil, err
	}
	return &createOutput{
		Status: http.StatusCreated, Location: "/api/tasks/" + url.PathEscape(v.ID), ETag: etag(v.Revision),
		Body: taskResponse(v, r.cfg.Now()),
	}, nil
}
