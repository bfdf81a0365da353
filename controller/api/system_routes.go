package api

import (
	"context"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/masking"
)

// SystemHealth says which services answer; the original's shape.
type SystemHealth struct {
	Status    string            `json:"status" doc:"healthy or degraded"`
	Timestamp int64             `json:"timestamp"`
	Services  map[string]string `json:"services" doc:"healthy, or what is wrong"`
	Leader    *Leader           `json:"leader,omitempty" doc:"the controller that decides; missing where none does"`
}

// SystemStatus is the original's status of the controller.
type SystemStatus struct {
	Mode       string            `json:"mode"`
	Components []SystemComponent `json:"components"`
	Uptime     int64             `json:"uptime" doc:"seconds"`
	Version    string            `json:"version"`
}

// SystemComponent is one part of it.
type SystemComponent struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	Details string `json:"details,omitempty"`
}

// ControllerList is every controller over the same services.
type ControllerList struct {
	Items []Controller `json:"items" doc:"by id"`
}

// Controller is what a controller has announced about itself.
type Controller struct {
	ID      string `json:"id"`
	URL     string `json:"url" doc:"under which hosts reach it"`
	Mode    string `json:"mode" doc:"CONTROLLER, MONITOR or DISPATCHER; the latter may lead"`
	Leader  bool   `json:"leader" doc:"it decides"`
	Version string `json:"version"`
	SeenAt  int64  `json:"seenAt" doc:"ms since epoch, by its own clock: when it said so; it does every 3 seconds"`
}

// DashboardSummary counts tasks and nodes; the original's shape and three counts more.
type DashboardSummary struct {
	TotalSkalds    int `json:"totalSkalds"`
	OnlineSkalds   int `json:"onlineSkalds"`
	TotalTasks     int `json:"totalTasks"`
	RunningTasks   int `json:"runningTasks"`
	FinishedTasks  int `json:"finishedTasks"`
	FailedTasks    int `json:"failedTasks"`
	AssigningTasks int `json:"assigningTasks"`
	CancelledTasks int `json:"cancelledTasks"`
	NodeSkalds     int `json:"nodeSkalds"`
	EdgeSkalds     int `json:"edgeSkalds"`
	CreatedTasks   int `json:"createdTasks"`
	PausedTasks    int `json:"pausedTasks"`
}

// SystemConfig is what holds, without secrets; the original's shape.
type SystemConfig struct {
	Mode       string `json:"mode"`
	Host       string `json:"host"`
	Port       int    `json:"port"`
	Monitoring struct {
		SkaldInterval    int `json:"skaldInterval"`
		TaskInterval     int `json:"taskInterval"`
		HeartbeatTimeout int `json:"heartbeatTimeout"`
	} `json:"monitoring"`
	Dispatcher struct {
		Interval int    `json:"interval"`
		Strategy string `json:"strategy"`
	} `json:"dispatcher"`
	Environment string `json:"environment"`
	LogLevel    string `json:"logLevel"`
}

// SystemVersion says what runs.
type SystemVersion struct {
	Version   string `json:"version"`
	BuildDate string `json:"buildDate"`
	GitCommit string `json:"gitCommit"`
	GoVersion string `json:"goVersion"`
}

// Cleanup is the data of POST /api/system/cleanup.
type Cleanup struct {
	Timestamp  int64    `json:"timestamp"`
	Operations []string `json:"operations"`
}

type (
	healthOutput  struct{ Body SystemHealth }
	sysOutput     struct{ Body SystemStatus }
	summaryOutput struct{ Body DashboardSummary }
	configOutput  struct{ Body SystemConfig }
	versionOutput struct{ Body SystemVersion }
	cleanupOutput struct{ Body Done[Cleanup] }

	controllersOutput struct{ Body ControllerList }
)

func (r *routes) systemRoutes() {
	handle(r, http.MethodGet, "/api/system/health", "Which services answer; always 200, see /readyz", func(ctx context.Context, _ *struct{}) (*healthOutput, error) {
		ok, services := r.ready(ctx)
		h := SystemHealth{Status: "healthy", Timestamp: r.now(), Services: services, Leader: r.leader(ctx)}
		if !ok {
			h.Status = "degraded"
		}
		return &healthOutput{h}, nil
	})
	handle(r, http.MethodGet, "/api/system/status", "Parts of the controller", r.systemStatus)
	handle(r, http.MethodGet, "/api/system/dashboard/summary", "Count tasks and nodes", func(ctx context.Context, _ *struct{}) (*summaryOutput, error) {
		s, err := r.summary(ctx)
		return &summaryOutput{s}, err
	})
	handle(r, http.MethodGet, "/api/system/config", "What holds, without secrets", r.systemConfig)
	handle(r, http.MethodGet, "/api/system/version", "What runs", func(context.Context, *struct{}) (*versionOutput, error) {
		return &versionOutput{r.build()}, nil
	})
	handle(r, http.MethodGet, "/api/system/controllers", "Which controllers there are, and which of them leads", r.systemControllers)
	handle(r, http.MethodPost, "/api/system/cleanup", "As in the original; retention runs by itself here", func(context.Context, *struct{}) (*cleanupOutput, error) {
		return &cleanupOutput{Done[Cleanup]{
			Success: true, Message: "there is nothing to do by hand: ended tasks are removed by the retention rules",
			Data: Cleanup{Timestamp: r.now(), Operations: []string{}},
		}}, nil
	})
}

// systemControllers lists what controllers announce about themselves every three seconds, for ten.
func (r *routes) systemControllers(ctx context.Context, _ *struct{}) (*controllersOutput, error) {
	out := &controllersOutput{ControllerList{Items: []Controller{}}}
	if r.cfg.Controllers == nil {
		return out, nil
	}
	list, err := r.cfg.Controllers(ctx)
	for _, c := range list {
		out.Body.Items = append(out.Body.Items, Controller{ID: c.ID, URL: c.URL, Mode: c.Mode, Leader: c.Leader, Version: c.Version, SeenAt: c.At})
	}
	return out, err
}

// ready asks every service; the map says "healthy" or what is wrong.
func (r *routes) ready(ctx context.Context) (bool, map[string]string) {
	ok, services := true, map[string]string{}
	for name, fault := range r.health.Ready(ctx) {
		services[name] = "healthy"
		if fault != "" {
			ok, services[name] = false, masking.Text(fault)
		}
	}
	return ok, services
}

func (r *routes) systemStatus(ctx context.Context, _ *struct{}) (*sysOutput, error) {
	s := SystemStatus{Mode: r.cfg.Mode, Uptime: int64(r.cfg.Now().Sub(r.started).Seconds()), Version: r.version(), Components: []SystemComponent{}}
	for _, name := range []string{"SkaldMonitor", "TaskMonitor"} {
		s.Components = append(s.Components, SystemComponent{Name: name, Running: true})
	}
	d := SystemComponent{Name: "Dispatcher", Running: r.cfg.Mode == "DISPATCHER"}
	if !d.Running {
		d.Details = "SYSTEM_CONTROLLER_MODE is " + r.cfg.Mode + ": this controller never leads, another one hands tasks out"
	}
	s.Components = append(s.Components, d)
	_, services := r.ready(ctx)
	for _, name := range sortedKeys(services) {
		c := SystemComponent{Name: name, Running: services[name] == "healthy"}
		if !c.Running {
			c.Details = services[name]
		}
		s.Components = append(s.Components, c)
	}
	return &sysOutput{s}, nil
}

func (r *routes) summary(ctx context.Context) (DashboardSummary, error) {
	s, err := r.nodes.Summary(ctx)
	if err != nil {
		return DashboardSummary{}, err
	}
	d := DashboardSummary{
		TotalSkalds: s.Nodes, OnlineSkalds: s.Online, EdgeSkalds: s.Edge, NodeSkalds: s.Nodes - s.Edge,
		CreatedTasks: s.Tasks[skalds.Created], AssigningTasks: s.Tasks[skalds.Assigning], RunningTasks: s.Tasks[skalds.Running],
		PausedTasks: s.Tasks[skalds.Paused], FinishedTasks: s.Tasks[skalds.Finished], FailedTasks: s.Tasks[skalds.Failed],
		CancelledTasks: s.Tasks[skalds.Cancelled],
	}
	for _, n := range s.Tasks {
		d.TotalTasks += n
	}
	return d, nil
}

func (r *routes) systemConfig(context.Context, *struct{}) (*configOutput, error) {
	s := r.cfg.Settings
	c := SystemConfig{Mode: r.cfg.Mode, Host: r.cfg.Host, Port: r.cfg.Port, Environment: s.Environment, LogLevel: s.LogLevel}
	c.Monitoring.SkaldInterval, c.Monitoring.TaskInterval, c.Monitoring.HeartbeatTimeout = s.NodeInterval, s.TaskInterval, s.HeartbeatTimeout
	c.Dispatcher.Interval, c.Dispatcher.Strategy = s.DispatchInterval, s.Strategy
	return &configOutput{c}, nil
}

func (r *routes) build() SystemVersion {
	v := SystemVersion{Version: r.version(), BuildDate: "unknown", GitCommit: "unknown", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.GitCommit = s.Value
		case "vcs.time":
			v.BuildDate = s.Value
		}
	}
	return v
}
