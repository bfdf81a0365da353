package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// NodePath is the part of a path that names a node.
type NodePath struct {
	ID string `path:"skald_id" doc:"id of the node"`
}

func (p *NodePath) check() error { return checkID("skald_id", p.ID) }

type nodeListInput struct {
	Type   string `query:"type" enum:"node,edge,single_process"`
	Status string `query:"status" enum:"online,offline"`
}

type (
	nodeListOutput struct{ Body NodeList }
	nodeOutput     struct{ Body NodeResponse }
)

// DrainNode is the body of POST /api/skalds/{skald_id}/drain, and an empty one of cordon and the like; it may be left out.
type DrainNode struct {
	Deadline *skalds.Duration `json:"deadline,omitempty" doc:"when tasks that find no room elsewhere are taken back too, from now; 0s: all at once; left out: never"`
}

type drainInput struct {
	NodePath
	RawBody []byte `contentType:"application/json" required:"false"`
}

func (r *routes) nodeRoutes() {
	handle(r, http.MethodGet, "/api/skalds/", "List nodes", r.listNodes)
	handle(r, http.MethodGet, "/api/skalds/summary/statistics", "Count nodes and their tasks", r.nodeStatistics)
	handle(r, http.MethodGet, "/api/skalds/{skald_id}", "Read one node", r.readNode)
	r.nodeOriginalRoutes()
	handle(r, http.MethodPut, "/api/skalds/{skald_id}/labels", "Say which labels a node is given, beside those that its host announces", r.labels(true),
		status(http.StatusAccepted), body[SetLabels](r))
	handle(r, http.MethodPatch, "/api/skalds/{skald_id}/labels", "Change some of the labels that a node is given", r.labels(false),
		status(http.StatusAccepted), body[SetLabels](r))
	handle(r, http.MethodPost, "/api/skalds/{skald_id}/declare-lost", "Take the tasks of a silent node back before its lease is over", r.declareLost,
		status(http.StatusAccepted), body[DeclareLost](r))
	change := func(verb, summary string, do func(ctx context.Context, id string, b DrainNode) (controller.NodeView, error)) {
		handle(r, http.MethodPost, "/api/skalds/{skald_id}/"+verb, summary, func(ctx context.Context, in *drainInput) (*nodeOutput, error) {
			if err := in.check(); err != nil {
				return nil, err
			}
			var b DrainNode
			if len(in.RawBody) > 0 {
				var err error
				if b, err = decodeBody[DrainNode](r, in.RawBody); err != nil {
					return nil, err
				}
			}
			if b.Deadline != nil && verb != "drain" {
				return nil, skalds.Invalid("the body does not fit", skalds.Field("deadline", "belongs to drain only: leave it out"))
			}
			v, err := do(ctx, in.ID, b)
			if err != nil {
				return nil, err
			}
			return &nodeOutput{nodeResponse(v)}, nil
		}, status(http.StatusAccepted), body[DrainNode](r))
	}
	change("cordon", "Give a node no new task", func(ctx context.Context, id string, _ DrainNode) (controller.NodeView, error) {
		return r.nodes.Cordon(ctx, id, true, who(ctx))
	})
	change("uncordon", "Give a node new tasks again", func(ctx context.Context, id string, _ DrainNode) (controller.NodeView, error) {
		return r.nodes.Cordon(ctx, id, false, who(ctx))
	})
	change("drain", "Move a node's tasks away as others have room, and all of them at the deadline; none is cancelled", func(ctx context.Context, id string, b DrainNode) (controller.NodeView, error) {
		return r.nodes.Drain(ctx, id, (*time.Duration)(b.Deadline), who(ctx))
	})
	change("undrain", "End draining a node", func(ctx context.Context, id string, _ DrainNode) (controller.NodeView, error) {
		return r.nodes.Undrain(ctx, id, who(ctx))
	})
	handle(r, http.MethodGet, "/api/skalds/{skald_id}/drain", "See how far a drain is, or what one would do", func(ctx context.Context, in *NodePath) (*forecastOutput, error) {
		if err := in.check(); err != nil {
			return nil, err
		}
		v, f, err := r.nodes.DrainForecast(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &forecastOutput{*nodeForecast(v, f)}, nil
	})
}

type forecastOutput struct{ Body NodeDrain }

// readNode is one node; how far it is drained is told with a forecast.
func (r *routes) readNode(ctx context.Context, in *NodePath) (*nodeOutput, error) {
	v, err := r.node(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &nodeOutput{nodeResponse(v)}
	if v.Draining {
		v, f, err := r.nodes.DrainForecast(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if out.Body = nodeResponse(v); v.Draining {
			out.Body.Drain = nodeForecast(v, f)
		}
	}
	return out, nil
}

// SetLabels is the body of PUT and PATCH /api/skalds/{skald_id}/labels.
type SetLabels struct {
	Labels map[string]*string `json:"labels" doc:"PUT: all that the node is given; PATCH: what changes, null takes a label away"`
}

type labelsInput struct {
	NodePath
	RawBody []byte `contentType:"application/json"`
}

func (r *routes) labels(replace bool) func(ctx context.Context, in *labelsInput) (*nodeOutput, error) {
	return func(ctx context.Context, in *labelsInput) (*nodeOutput, error) {
		if err := in.check(); err != nil {
			return nil, err
		}
		b, err := decodeBody[SetLabels](r, in.RawBody)
		if err != nil {
			return nil, err
		}
		v, err := r.nodes.SetLabels(ctx, in.ID, b.Labels, replace, who(ctx))
		if err != nil {
			return nil, err
		}
		return &nodeOutput{nodeResponse(v)}, nil
	}
}

// DeclareLost is the body of POST /api/skalds/{skald_id}/declare-lost; it may be left out.
type DeclareLost struct {
	MachineOff bool `json:"machineOff,omitempty" doc:"nothing can run there any more: tasks that are to stay with a silent node move too"`
}

// NodeLoss is what became of a node that was declared lost.
type NodeLoss struct {
	Node        NodeResponse `json:"node"`
	Moved       []string     `json:"moved" doc:"ids of tasks that were taken back, to be handed out anew"`
	Kept        []string     `json:"kept" doc:"ids of tasks that stay with the node: onDisconnect is keep, or they are of its workers file"`
	MayRunUntil int64        `json:"mayRunUntil,omitempty" doc:"ms since epoch: until then a host that is only cut off may still run what has moved"`
}

type lossOutput struct{ Body NodeLoss }

func (r *routes) declareLost(ctx context.Context, in *drainInput) (*lossOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var b DeclareLost
	if len(in.RawBody) > 0 {
		var err error
		if b, err = decodeBody[DeclareLost](r, in.RawBody); err != nil {
			return nil, err
		}
	}
	l, err := r.nodes.DeclareLost(ctx, in.ID, b.MachineOff, who(ctx))
	if err != nil {
		return nil, err
	}
	return &lossOutput{NodeLoss{nodeResponse(l.Node), append([]string{}, l.Moved...), append([]string{}, l.Kept...), l.MayRunUntil}}, nil
}

func (r *routes) node(ctx context.Context, in *NodePath) (controller.NodeView, error) {
	if err := in.check(); err != nil {
		return controller.NodeView{}, err
	}
	return r.nodes.Node(ctx, in.ID)
}

func (r *routes) listNodes(ctx context.Context, in *nodeListInput) (*nodeListOutput, error) {
	views, err := r.nodes.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out := &nodeListOutput{NodeList{Items: []NodeResponse{}}}
	for _, v := range views {
		n := nodeResponse(v)
		if (in.Type == "" || string(n.Type) == in.Type) && (in.Status == "" || n.Status == in.Status) {
			out.Body.Items = append(out.Body.Items, n)
		}
	}
	slices.SortFunc(out.Body.Items, func(a, b NodeResponse) int { return cmp.Compare(a.ID, b.ID) })
	out.Body.Total = len(out.Body.Items)
	return out, nil
}

// NodeStatistics counts nodes, as in the original.
type NodeStatistics struct {
	TotalSkalds          int                   `json:"totalSkalds"`
	OnlineSkalds         int                   `json:"onlineSkalds"`
	OfflineSkalds        int                   `json:"offlineSkalds"`
	NodeSkalds           int                   `json:"nodeSkalds"`
	EdgeSkalds           int                   `json:"edgeSkalds"`
	AvailableNodes       int                   `json:"availableNodes"`
	TotalRunningTasks    int                   `json:"totalRunningTasks"`
	AverageTasksPerSkald float64               `json:"averageTasksPerSkald"`
	Details              NodeStatisticsDetails `json:"details"`
}

// NodeStatisticsDetails belong to NodeStatistics.
type NodeStatisticsDetails struct {
	OnlineNodes int `json:"onlineNodes"`
	OnlineEdges int `json:"onlineEdges"`
	BusyNodes   int `json:"busyNodes"`
	IdleNodes   int `json:"idleNodes"`
}

type nodeStatisticsOutput struct{ Body NodeStatistics }

func (r *routes) nodeStatistics(ctx context.Context, _ *struct{}) (*nodeStatisticsOutput, error) {
	views, err := r.nodes.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	return &nodeStatisticsOutput{countNodes(views)}, nil
}

func countNodes(views []controller.NodeView) NodeStatistics {
	s := NodeStatistics{TotalSkalds: len(views)}
	for _, v := range views {
		edge := v.Mode == skalds.NodeModeEdge
		if edge {
			s.EdgeSkalds++
		} else {
			s.NodeSkalds++
		}
		if !v.Online {
			s.OfflineSkalds++
			continue
		}
		s.OnlineSkalds++
		for _, t := range v.Tasks {
			if t.State == skalds.Running {
				s.TotalRunningTasks++
			}
		}
		switch {
		case edge:
			s.Details.OnlineEdges++
		default:
			s.Details.OnlineNodes++
			if v.Greeted && !v.Cordoned && !v.Draining {
				s.AvailableNodes++
			}
			if len(v.Tasks) > 0 {
				s.Details.BusyNodes++
			} else {
				s.Details.IdleNodes++
			}
		}
	}
	if s.OnlineSkalds > 0 {
		s.AverageTasksPerSkald = float64(s.TotalRunningTasks) / float64(s.OnlineSkalds)
	}
	return s
}

// WorkerList is every plugin and the nodes that have it.
type WorkerList struct {
	Items    []controller.WorkerOnNodes `json:"items"`
	Problems []ProblemOnNode            `json:"problems" doc:"files on online nodes that cannot be used until somebody repairs them"`
}

// ProblemOnNode is a file that cannot be used, and the node that has it.
type ProblemOnNode struct {
	Node   string `json:"node"`
	Path   string `json:"path"`
	Reason string `json:"reason" doc:"what is wrong and what to do"`
}

type workersOutput struct{ Body WorkerList }

func (r *routes) workerRoutes() {
	handle(r, http.MethodGet, "/api/workers/", "List workers, their classes with schemas, and the nodes that have them", func(ctx context.Context, _ *struct{}) (*workersOutput, error) {
		list, err := r.nodes.Workers(ctx)
		if err != nil {
			return nil, err
		}
		items := make([]controller.WorkerOnNodes, 0, len(list))
		for _, w := range list {
			if w.Nodes == nil {
				w.Nodes = []string{}
			}
			items = append(items, w)
		}
		slices.SortStableFunc(items, func(a, b controller.WorkerOnNodes) int { return cmp.Compare(a.Name, b.Name) })
		nodes, err := r.nodes.Nodes(ctx)
		if err != nil {
			return nil, err
		}
		problems := []ProblemOnNode{}
		for _, n := range nodes {
			if !n.Online || n.Heartbeat == nil {
				continue
			}
			for _, p := range n.Heartbeat.Problems {
				problems = append(problems, ProblemOnNode{n.ID, p.Path, p.Reason})
			}
		}
		return &workersOutput{WorkerList{items, problems}}, nil
	})
}

func online(v controller.NodeView) string {
	return fmt.Sprintf("node %s is %s", v.ID, nodeStatus(v))
}
