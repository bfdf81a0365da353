package client

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// Health says which services answer.
func (c *Client) Health(ctx context.Context) (out api.SystemHealth, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/health", nil, nil, &out)
	return out, err
}

// Status lists the parts of the controller.
func (c *Client) Status(ctx context.Context) (out api.SystemStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/status", nil, nil, &out)
	return out, err
}

// Summary counts tasks and nodes.
func (c *Client) Summary(ctx context.Context) (out api.DashboardSummary, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/dashboard/summary", nil, nil, &out)
	return out, err
}

// Config reads what holds, without secrets.
func (c *Client) Config(ctx context.Context) (out api.SystemConfig, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/config", nil, nil, &out)
	return out, err
}

// Metrics reads the figures of nodes and tasks.
func (c *Client) Metrics(ctx context.Context) (out api.Metrics, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/metrics", nil, nil, &out)
	return out, err
}

// Distribution says how many tasks are in which state.
func (c *Client) Distribution(ctx context.Context) (out api.Distribution, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/analytics/task-distribution", nil, nil, &out)
	return out, err
}

// Activity counts what happened in the last hours, 1 to 168.
func (c *Client) Activity(ctx context.Context, hours int) (out api.Activity, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/analytics/recent-activity", url.Values{"hours": {strconv.Itoa(hours)}}, nil, &out)
	return out, err
}

// Cleanup is the original's route; retention runs by itself.
func (c *Client) Cleanup(ctx context.Context) (out api.Done[api.Cleanup], err error) {
	err = c.call(ctx, http.MethodPost, "/api/system/cleanup", nil, nil, &out)
	return out, err
}

// Version says what runs.
func (c *Client) Version(ctx context.Context) (out api.SystemVersion, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/version", nil, nil, &out)
	return out, err
}

// Controllers lists the controllers over the same services.
func (c *Client) Controllers(ctx context.Context) (out api.ControllerList, err error) {
	err = c.call(ctx, http.MethodGet, "/api/system/controllers", nil, nil, &out)
	return out, err
}

// EventsStatus says how many clients listen to events.
func (c *Client) EventsStatus(ctx context.Context) (out api.EventsStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/api/events/status", nil, nil, &out)
	return out, err
}

// Live asks whether the process answers.
func (c *Client) Live(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/livez", nil, nil, nil)
}

// Ready asks whether all services answer; where not, the error is of CodeUnavailable and names them as fields.
func (c *Client) Ready(ctx context.Context) error {
	h, err := c.Health(ctx)
	if err != nil {
		return err
	}
	return notReady(h)
}

func notReady(h api.SystemHealth) error {
	e := &skalds.Error{Code: skalds.CodeUnavailable, Message: "skalds is not ready"}
	for _, name := range slices.Sorted(maps.Keys(h.Services)) {
		if fault := h.Services[name]; fault != "healthy" {
			e.Fields = append(e.Fields, skalds.FieldError{Field: name, Message: fault})
		}
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}
