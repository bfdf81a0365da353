package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/skalds-go/skalds"
)

// NodeTasks are the tasks of a node, as in the original.
type NodeTasks struct {
	SkaldID    string     `json:"skaldId"`
	Tasks      []NodeTask `json:"tasks"`
	TotalTasks int        `json:"totalTasks"`
}

// NodeTask is a task on a node.
type NodeTask struct {
	ID              string       `json:"id"`
	ClassName       string       `json:"className"`
	AssignedAt      int64        `json:"assignedAt" doc:"ms since epoch"`
	LifecycleStatus skalds.State `json:"lifecycleStatus"`
}

// NodeStatus is a node's status, as in the original.
type NodeStatus struct {
	SkaldID    string            `json:"skaldId"`
	Status     string            `json:"status"`
	Type       skalds.NodeMode   `json:"type"`
	Heartbeat  int64             `json:"heartbeat"`
	LastUpdate int64             `json:"lastUpdate" doc:"ms since epoch"`
	TaskCount  int               `json:"taskCount"`
	IsOnline   bool              `json:"isOnline"`
	Uptime     *int64            `json:"uptime"`
	Details    NodeStatusDetails `json:"details"`
}

// NodeStatusDetails belong to NodeStatus.
type NodeStatusDetails struct {
	CanAcceptTasks   bool     `json:"canAcceptTasks"`
	LastHeartbeatAge int64    `json:"lastHeartbeatAge" doc:"ms"`
	Tasks            []string `json:"tasks"`
}

// NodeHeartbeat is a node's heartbeat, as in the original.
type NodeHeartbeat struct {
	SkaldID      string `json:"skaldId"`
	Heartbeat    int64  `json:"heartbeat"`
	LastUpdate   int64  `json:"lastUpdate" doc:"ms since epoch"`
	HeartbeatAge int64  `json:"heartbeatAge" doc:"ms"`
	IsOnline     bool   `json:"isOnline"`
	Timestamp    int64  `json:"timestamp" doc:"ms since epoch"`
}

// NodePing is the data of a ping.
type NodePing struct {
	SkaldID       string `json:"skaldId"`
	Online        bool   `json:"online"`
	LastHeartbeat string `json:"lastHeartbeat" doc:"ms since epoch, as text"`
}

type (
	nodeTasksOutput     struct{ Body NodeTasks }
	nodeStatusOutput    struct{ Body NodeStatus }
	nodeHeartbeatOutput struct{ Body NodeHeartbeat }
	nodePingOutput      struct{ Body Done[NodePing] }
)

func (r *routes) nodeOriginalRoutes() {
	handle(r, http.MethodGet, "/api/skalds/{skald_id}/tasks", "List the tasks of a node", r.nodeTasks)
	handle(r, http.MethodGet, "/api/skalds/{skald_id}/status", "Status of a node", r.nodeStatus)
	handle(r, http.MethodGet, "/api/skalds/{skald_id}/heartbeat", "Heartbeat of a node", r.nodeHeartbeat)
	handle(r, http.MethodPost, "/api/skalds/{skald_id}/ping", "Is a node online", r.nodePing)
}

func (r *routes) nodeTasks(ctx context.Context, in *NodePath) (*nodeTasksOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	tasks, err := r.nodes.TasksOnNode(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &nodeTasksOutput{NodeTasks{SkaldID: in.ID, Tasks: []NodeTask{}, TotalTasks: len(tasks)}}
	for _, t := range tasks {
		at := t.StartedAt
		if at == 0 {
			at = t.UpdateDateTime
		}
		out.Body.Tasks = append(out.Body.Tasks, NodeTask{t.ID, t.ClassName, at, t.LifecycleStatus})
	}
	return out, nil
}

func (r *routes) age(seenAt int64) int64 {
	if seenAt == 0 {
		return -1
	}
	return r.now() - seenAt
}

func (r *routes) nodeStatus(ctx context.Context, in *NodePath) (*nodeStatusOutput, error) {
	v, err := r.node(ctx, in)
	if err != nil {
		return nil, err
	}
	n := nodeResponse(v)
	return &nodeStatusOutput{NodeStatus{
		SkaldID: n.ID, Status: n.Status, Type: n.Type, Heartbeat: n.Heartbeat, LastUpdate: v.SeenAt, TaskCount: n.TaskCount, IsOnline: v.Online,
		Details: NodeStatusDetails{
			CanAcceptTasks:   v.Online && !v.Cordoned && !v.Draining && v.Mode == skalds.NodeModeNode,
			LastHeartbeatAge: r.age(v.SeenAt), Tasks: n.CurrentTasks,
		},
	}}, nil
}

func (r *routes) nodeHeartbeat(ctx context.Context, in *NodePath) (*nodeHeartbeatOutput, error) {
	v, err := r.node(ctx, in)
	if err != nil {
		return nil, err
	}
	return &nodeHeartbeatOutput{NodeHeartbeat{
		SkaldID: v.ID, Heartbeat: nodeResponse(v).Heartbeat, LastUpdate: v.SeenAt, HeartbeatAge: r.age(v.SeenAt), IsOnline: v.Online, Timestamp: r.now(),
	}}, nil
}

func (r *routes) nodePing(ctx context.Context, in *NodePath) (*nodePingOutput, error) {
	v, err := r.node(ctx, in)
	if err != nil {
		return nil, err
	}
	return &nodePingOutput{Done[NodePing]{
		Success: v.Online, Message: online(v), Data: NodePing{v.ID, v.Online, strconv.FormatInt(v.SeenAt, 10)},
	}}, nil
}
