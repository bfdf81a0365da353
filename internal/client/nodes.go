package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

func nodePath(id string, rest ...string) string {
	return "/api/skalds/" + skalds.FileName(id) + strings.Join(append([]string{""}, rest...), "/")
}

// Nodes lists nodes. mode ("node", "edge") and status ("online", "offline") may be empty.
func (c *Client) Nodes(ctx context.Context, mode, status string) (out api.NodeList, err error) {
	q := url.Values{}
	if mode != "" {
		q.Set("type", mode)
	}
	if status != "" {
		q.Set("status", status)
	}
	err = c.call(ctx, http.MethodGet, "/api/skalds/", q, nil, &out)
	return out, err
}

// Node reads one node.
func (c *Client) Node(ctx context.Context, id string) (out api.NodeResponse, err error) {
	err = c.call(ctx, http.MethodGet, nodePath(id), nil, nil, &out)
	return out, err
}

// NodeTasks lists the tasks of a node.
func (c *Client) NodeTasks(ctx context.Context, id string) (out api.NodeTasks, err error) {
	err = c.call(ctx, http.MethodGet, nodePath(id, "tasks"), nil, nil, &out)
	return out, err
}

// NodeStatus reads a node's status.
func (c *Client) NodeStatus(ctx context.Context, id string) (out api.NodeStatus, err error) {
	err = c.call(ctx, http.MethodGet, nodePath(id, "status"), nil, nil, &out)
	return out, err
}

// NodeHeartbeat reads a node's heartbeat.
func (c *Client) NodeHeartbeat(ctx context.Context, id string) (out api.NodeHeartbeat, err error) {
	err = c.call(ctx, http.MethodGet, nodePath(id, "heartbeat"), nil, nil, &out)
	return out, err
}

// PingNode asks whether a node is online.
func (c *Client) PingNode(ctx context.Context, id string) (out api.Done[api.NodePing], err error) {
	err = c.call(ctx, http.MethodPost, nodePath(id, "ping"), nil, nil, &out)
	return out, err
}

// NodeStatistics counts nodes and their tasks.
func (c *Client) NodeStatistics(ctx context.Context) (out api.NodeStatistics, err error) {
	err = c.call(ctx, http.MethodGet, "/api/skalds/summary/statistics", nil, nil, &out)
	return out, err
}

func (c *Client) changeNode(ctx context.Context, id, verb string, in any) (out api.NodeResponse, err error) {
	err = c.call(ctx, http.MethodPost, nodePath(id, verb), nil, in, &out)
	return out, err
}

// Cordon gives a node no new task.
func (c *Client) Cordon(ctx context.Context, id string) (api.NodeResponse, error) {
	return c.changeNode(ctx, id, "cordon", nil)
}

// Uncordon gives a node new tasks again.
func (c *Client) Uncordon(ctx context.Context, id string) (api.NodeResponse, error) {
	return c.changeNode(ctx, id, "uncordon", nil)
}

// Drain moves a node's tasks away as others have room for them. After the deadline the rest is taken back too; nil: never, zero: now.
func (c *Client) Drain(ctx context.Context, id string, deadline *time.Duration) (api.NodeResponse, error) {
	return c.changeNode(ctx, id, "drain", api.DrainNode{Deadline: (*skalds.Duration)(deadline)})
}

// DrainForecast says how far a drain is, or what one would do.
func (c *Client) DrainForecast(ctx context.Context, id string) (out api.NodeDrain, err error) {
	err = c.call(ctx, http.MethodGet, nodePath(id, "drain"), nil, nil, &out)
	return out, err
}

// Undrain ends draining a node.
func (c *Client) Undrain(ctx context.Context, id string) (api.NodeResponse, error) {
	return c.changeNode(ctx, id, "undrain", nil)
}

// LabelNode changes the labels that a node is given; nil takes one away, so that what its host announces counts again. With replace
// they are all that it is given.
func (c *Client) LabelNode(ctx context.Context, id string, labels map[string]*string, replace bool) (out api.NodeResponse, err error) {
	method := http.MethodPatch
	if replace {
		method = http.MethodPut
	}
	err = c.call(ctx, method, nodePath(id, "labels"), nil, api.SetLabels{Labels: labels}, &out)
	return out, err
}

// DeclareLost takes the tasks of a silent node back before its lease is over; with machineOff also those that are to stay with it.
func (c *Client) DeclareLost(ctx context.Context, id string, machineOff bool) (out api.NodeLoss, err error) {
	err = c.call(ctx, http.MethodPost, nodePath(id, "declare-lost"), nil, api.DeclareLost{MachineOff: machineOff}, &out)
	return out, err
}

// Workers lists every plugin and the nodes that have it.
func (c *Client) Workers(ctx context.Context) (out api.WorkerList, err error) {
	err = c.call(ctx, http.MethodGet, "/api/workers/", nil, nil, &out)
	return out, err
}
