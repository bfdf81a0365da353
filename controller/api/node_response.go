package api

import (
	"maps"
	"strconv"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// NodeResponse is a node as clients see it: the fields of the original first, then ours.
type NodeResponse struct {
	ID             string          `json:"id"`
	Type           skalds.NodeMode `json:"type" doc:"node or edge"`
	Status         string          `json:"status" doc:"online or offline"`
	LastHeartbeat  string          `json:"lastHeartbeat" doc:"ms since epoch, as text"`
	SupportedTasks []string        `json:"supportedTasks" doc:"classes that it can run"`
	CurrentTasks   []string        `json:"currentTasks" doc:"ids"`
	Heartbeat      int64           `json:"heartbeat" doc:"number of its last heartbeat"`
	TaskCount      int             `json:"taskCount"`

	Capacity    *skalds.Capacity     `json:"capacity"`
	Reserved    *skalds.Resources    `json:"reserved"`
	Used        *skalds.Usage        `json:"used" doc:"whole machine"`
	Foreign     *skalds.Usage        `json:"foreign" doc:"what everything that is not ours uses"`
	Enforcement *skalds.Enforcement  `json:"enforcement" doc:"by what limits hold here, and what that is worth"`
	Isolation   skalds.NodeAbilities `json:"isolation" doc:"for each ability to isolate tasks why this node does not have it; empty: it does; null: not known"`
	Instances   []NodeInstance       `json:"instances"`
	Labels      map[string]string    `json:"labels" doc:"that constraints are matched against: those announced, and over them those given"`
	Announced   map[string]string    `json:"labelsAnnounced" doc:"by its host"`
	Given       map[string]string    `json:"labelsGiven" doc:"by PUT or PATCH /labels: they win over those announced"`
	Problems    []skalds.NodeProblem `json:"problems" doc:"files there that cannot be used until somebody repairs them"`
	Workers     []string             `json:"workers" doc:"name@version"`
	Greeted     bool                 `json:"greeted" doc:"its hello was answered: it gets tasks, unless it is cordoned or draining"`
	Cordoned    bool                 `json:"cordoned" doc:"gets no new task"`
	Draining    bool                 `json:"draining" doc:"its tasks move away"`
	Drain       *NodeDrain           `json:"drain,omitempty" doc:"how far that is"`
	Incarnation int64                `json:"incarnation"`
	Hostname    string               `json:"hostname,omitempty"`
	PID         int                  `json:"pid,omitempty"`
	Program     string               `json:"program,omitempty" doc:"version of skalds"`
	LostAt      int64                `json:"lostAt,omitempty" doc:"ms since epoch"`
}

// NodeInstance is one process on a node.
type NodeInstance struct {
	PID       int             `json:"pid"`
	TaskID    string          `json:"taskId"`
	ClassName string          `json:"className"`
	Worker    string          `json:"worker"`
	State     skalds.State    `json:"state"`
	Phase     skalds.Phase    `json:"phase,omitempty"`
	Epoch     int64           `json:"epoch"`
	Attempt   int             `json:"attempt"`
	StartedAt int64           `json:"startedAt"`
	Usage     skalds.Usage    `json:"usage"`
	Peak      skalds.Usage    `json:"peak"`
	Progress  skalds.Progress `json:"progress"`
}

// NodeDrain is how far a drain is, or what one would do to a node that is not draining.
type NodeDrain struct {
	Began      int64 `json:"began,omitempty" doc:"ms since epoch; 0: it is not draining"`
	DeadlineAt int64 `json:"deadlineAt,omitempty" doc:"ms since epoch: when the rest is taken back, whether or not there is room elsewhere; 0: never"`
	Left       int   `json:"left" doc:"tasks that are still there and are to leave"`
	Moving     int   `json:"moving" doc:"of those: told to leave"`
	Stay       int   `json:"stay" doc:"tasks of its own workers file, which do not move"`
	Room       *int  `json:"room,omitempty" doc:"of those left that are not moving yet: how many find room elsewhere now; in lists of nodes it is left out"`
	// NoRoom is empty in lists of nodes.
	NoRoom []NodeNoRoom `json:"noRoom,omitempty" doc:"tasks that find none: they go on here until there is room, or the deadline is over"`
}

// NodeNoRoom is a task that no other node can take now.
type NodeNoRoom struct {
	TaskID    string `json:"taskId"`
	ClassName string `json:"className"`
	Why       string `json:"why" doc:"what other nodes say"`
}

func nodeDrain(v controller.NodeView, f controller.DrainForecast) *NodeDrain {
	return &NodeDrain{Began: v.DrainBegan, DeadlineAt: v.DrainDeadline, Left: f.Left, Moving: f.Moving, Stay: f.Stay}
}

func nodeForecast(v controller.NodeView, f controller.DrainForecast) *NodeDrain {
	d := nodeDrain(v, f)
	d.Room = &f.Room
	for _, n := range f.NoRoom {
		d.NoRoom = append(d.NoRoom, NodeNoRoom(n))
	}
	return d
}

// NodeList is all nodes, sorted by id.
type NodeList struct {
	Items []NodeResponse `json:"items"`
	Total int            `json:"total"`
}

func nodeStatus(v controller.NodeView) string {
	if v.Online {
		return "online"
	}
	return "offline"
}

func nodeResponse(v controller.NodeView) NodeResponse {
	r := NodeResponse{
		ID: v.ID, Type: v.Mode, Status: nodeStatus(v), LastHeartbeat: strconv.FormatInt(v.SeenAt, 10), SupportedTasks: []string{},
		CurrentTasks: []string{}, TaskCount: len(v.Tasks), Instances: []NodeInstance{}, Labels: map[string]string{}, Announced: map[string]string{}, Given: map[string]string{}, Workers: []string{}, Problems: []skalds.NodeProblem{},
		Greeted: v.Greeted, Cordoned: v.Cordoned, Draining: v.Draining, Incarnation: v.Incarnation, LostAt: v.LostAt,
	}
	for _, t := range v.Tasks {
		r.CurrentTasks = append(r.CurrentTasks, t.ID)
	}
	if v.Draining {
		r.Drain = nodeDrain(v, v.Drain)
	}
	maps.Copy(r.Given, v.Labels)
	maps.Copy(r.Labels, v.Labels)
	hb := v.Heartbeat
	if hb == nil {
		return r
	}
	r.Heartbeat, r.Incarnation = hb.Seq, hb.Incarnation
	r.Hostname, r.PID, r.Program = hb.Hostname, hb.PID, hb.Program
	r.Capacity, r.Enforcement = &hb.Capacity, &hb.Enforcement
	r.Isolation = hb.Isolation
	r.SupportedTasks = append(r.SupportedTasks, hb.Classes...)
	r.Workers = append(r.Workers, hb.Workers...)
	r.Problems = append(r.Problems, hb.Problems...)
	maps.Copy(r.Announced, hb.Labels)
	maps.Copy(r.Labels, dispatch.JoinLabels(hb.Labels, v.Labels))
	if !v.Online {
		return r // what it ran last, and what that took, is no news
	}
	r.Reserved, r.Used, r.Foreign = &hb.Reserved, &hb.Used, &hb.Foreign
	for _, i := range hb.Instances {
		r.Instances = append(r.Instances, NodeInstance{
			PID: i.PID, TaskID: i.TaskID, ClassName: i.ClassName, Worker: i.Worker, State: i.State, Phase: i.Phase, Epoch: i.Epoch,
			Attempt: i.Attempt, StartedAt: i.StartedAt, Usage: i.Usage, Peak: i.Peak, Progress: i.Progress,
		})
	}
	return r
}
