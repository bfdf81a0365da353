package api

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// Metrics are the original's figures, counted once.
type Metrics struct {
	Timestamp int64 `json:"timestamp"`
	Skalds    struct {
		Total          int `json:"total"`
		Online         int `json:"online"`
		Offline        int `json:"offline"`
		Nodes          int `json:"nodes"`
		Edges          int `json:"edges"`
		AvailableNodes int `json:"availableNodes"`
		BusyNodes      int `json:"busyNodes"`
		IdleNodes      int `json:"idleNodes"`
	} `json:"skalds"`
	Tasks struct {
		Monitored     int `json:"monitored"`
		Running       int `json:"running"`
		Failed        int `json:"failed"`
		Finished      int `json:"finished"`
		Cancelled     int `json:"cancelled"`
		Assigning     int `json:"assigning"`
		Total         int `json:"total"`
		TotalAssigned int `json:"totalAssigned"`
	} `json:"tasks"`
	Performance struct {
		AverageTasksPerSkald float64        `json:"averageTasksPerSkald"`
		TaskDistribution     map[string]int `json:"taskDistribution"`
		SystemLoad           struct {
			SkaldUtilization float64 `json:"skaldUtilization" doc:"share of nodes that are online"`
			NodeUtilization  float64 `json:"nodeUtilization" doc:"share of online nodes that have a task"`
			CPUUtilization   float64 `json:"cpuUtilization" doc:"measured share of all online nodes' CPU"`
			MemoryUse        float64 `json:"memoryUtilization" doc:"measured share of all online nodes' memory"`
		} `json:"systemLoad"`
	} `json:"performance"`
}

// Distribution is how many tasks are in which state.
type Distribution struct {
	Distribution []StateShare `json:"distribution"`
	Timestamp    int64        `json:"timestamp"`
}

// StateShare is one state of a Distribution.
type StateShare struct {
	Status     skalds.State `json:"status"`
	Count      int          `json:"count"`
	Percentage float64      `json:"percentage"`
}

// Activity is what happened in the last hours.
type Activity struct {
	Timeframe     string  `json:"timeframe"`
	TasksCreated  int     `json:"tasksCreated"`
	TasksUpdated  int     `json:"tasksUpdated"`
	TasksFinished int     `json:"tasksFinished"`
	TasksFailed   int     `json:"tasksFailed"`
	SuccessRate   float64 `json:"successRate" doc:"percent of those that ended"`
}

type activityInput struct {
	Hours int `query:"hours" default:"24" minimum:"1" maximum:"168"`
}

type (
	metricsOutput      struct{ Body Metrics }
	distributionOutput struct{ Body Distribution }
	activityOutput     struct{ Body Activity }
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (r *routes) analyticsRoutes() {
	handle(r, http.MethodGet, "/api/system/metrics", "Figures of nodes and tasks", r.metrics)
	handle(r, http.MethodGet, "/api/system/analytics/task-distribution", "How many tasks are in which state", r.distribution)
	handle(r, http.MethodGet, "/api/system/analytics/recent-activity", "What happened in the last hours", r.activity)
}

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

func (r *routes) metrics(ctx context.Context, _ *struct{}) (*metricsOutput, error) {
	views, err := r.nodes.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	d, err := r.summary(ctx)
	if err != nil {
		return nil, err
	}
	n := countNodes(views)
	m := &Metrics{Timestamp: r.now()}
	s := &m.Skalds
	s.Total, s.Online, s.Offline, s.Nodes, s.Edges = n.TotalSkalds, n.OnlineSkalds, n.OfflineSkalds, n.NodeSkalds, n.EdgeSkalds
	s.AvailableNodes, s.BusyNodes, s.IdleNodes = n.AvailableNodes, n.Details.BusyNodes, n.Details.IdleNodes
	t := &m.Tasks
	t.Running, t.Failed, t.Finished, t.Cancelled = d.RunningTasks, d.FailedTasks, d.FinishedTasks, d.CancelledTasks
	t.Assigning, t.Total, t.Monitored = d.AssigningTasks, d.TotalTasks, d.AssigningTasks+d.RunningTasks+d.PausedTasks
	p := &m.Performance
	p.AverageTasksPerSkald, p.TaskDistribution = n.AverageTasksPerSkald, map[string]int{}
	var used, capacity skalds.Usage
	for _, v := range views {
		t.TotalAssigned += len(v.Tasks)
		p.TaskDistribution[v.ID] = len(v.Tasks)
		if hb := v.Heartbeat; v.Online && hb != nil {
			used.CPUCores += hb.Used.CPUCores
			used.MemoryBytes += hb.Used.MemoryBytes
			capacity.CPUCores += hb.Capacity.CPUCores
			capacity.MemoryBytes += hb.Capacity.MemoryBytes
		}
	}
	l := &p.SystemLoad
	l.SkaldUtilization = share(float64(n.OnlineSkalds), float64(n.TotalSkalds))
	l.NodeUtilization = share(float64(n.Details.BusyNodes), float64(n.Details.OnlineNodes))
	l.CPUUtilization = share(used.CPUCores, capacity.CPUCores)
	l.MemoryUse = share(float64(used.MemoryBytes), float64(capacity.MemoryBytes))
	return &metricsOutput{*m}, nil
}

func (r *routes) distribution(ctx context.Context, _ *struct{}) (*distributionOutput, error) {
	s, err := r.nodes.Summary(ctx)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, n := range s.Tasks {
		total += n
	}
	out := &distributionOutput{Distribution{Distribution: []StateShare{}, Timestamp: r.now()}}
	for _, state := range skalds.States() {
		n := s.Tasks[state]
		out.Body.Distribution = append(out.Body.Distribution, StateShare{state, n, 100 * share(float64(n), float64(total))})
	}
	return out, nil
}

// activityPage is how many tasks are read at once to count what happened.
const activityPage = 500

func (r *routes) activity(ctx context.Context, in *activityInput) (*activityOutput, error) {
	since := r.now() - int64(in.Hours)*3_600_000
	a := Activity{Timeframe: hours(in.Hours)}
	f := controller.TaskFilter{Limit: activityPage}
	for {
		items, _, next, err := r.tasks.Tasks(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, v := range items {
			a.count(v.Task, since)
		}
		if next == "" {
			break
		}
		f.Cursor = next
	}
	a.SuccessRate = 100 * share(float64(a.TasksFinished), float64(a.TasksFinished+a.TasksFailed))
	return &activityOutput{a}, nil
}

func (a *Activity) count(t *skalds.Task, since int64) {
	if t.CreateDateTime >= since {
		a.TasksCreated++
	}
	if t.UpdateDateTime >= since {
		a.TasksUpdated++
	}
	switch {
	case t.EndedAt < since:
	case t.LifecycleStatus == skalds.Finished:
		a.TasksFinished++
	case t.LifecycleStatus == skalds.Failed:
		a.TasksFailed++
	}
}
