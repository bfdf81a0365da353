package controller

import (
	"errors"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// Config says how a controller decides.
type Config struct {
	// ID names this controller in logs and audits; default "controller".
	ID string `yaml:"id"`
	// Alone says that nobody else can reach the store, as where it is a file of this program: the lease of the leader is taken at
	// once and need not be renewed. Default true.
	Alone bool `yaml:"alone"`
	// Leads says whether this controller may lead: apply reports, watch over nodes, hand out tasks. One that may not serves and
	// observes. Default true.
	Leads bool `yaml:"leads"`
	// LeaderLease is how long the lease of the leader lasts without a renewal, where there may be several controllers; at least 2s,
	// default 2.4s.
	LeaderLease time.Duration `yaml:"leader_lease"`
	// ServerURL is the address under which hosts reach this controller's REST, for streams, e.g. "http://10.0.0.5:8000".
	// Empty: logs of running tasks cannot be fetched from hosts.
	ServerURL string `yaml:"server_url"`
	// Lease is how long a node lives after a heartbeat; must be that of the hosts; default 6s, 15s with an embedded bus
	// that further hosts join.
	Lease time.Duration `yaml:"lease"`
	// Heartbeat is how often the heartbeat store is read; default 1s, at most a third of Lease.
	Heartbeat time.Duration `yaml:"heartbeat"`
	// TaskWorkerRetry is TASK_WORKER_RETRY: retries of tasks that say nothing and are not persistent; -1, the default, means
	// skalds.DefaultMaxAttempts attempts in all.
	TaskWorkerRetry int `yaml:"task_worker_retry"`
	// Resend is how long a command may stay without an answer before it is sent again; it doubles each time; default 2s.
	Resend time.Duration `yaml:"resend"`
	// Dispatch says how nodes are chosen.
	Dispatch dispatch.Config `yaml:"dispatch"`
	// Retention is how long tasks are kept after their end, with attempts and logs; default 720h (30 days); 0: for ever.
	Retention time.Duration `yaml:"retention"`
	// RetentionTasks is how many ended tasks are kept at most; default 100000; 0: all.
	RetentionTasks int `yaml:"retention_tasks"`
	// UsageRetention is how long it is kept what tasks took, in averages of a minute; default 168h (7 days), at most as long as
	// the task; 0: as long as the task.
	UsageRetention time.Duration `yaml:"usage_retention"`
	// NodeRetention is how long a node is known that is lost or has left, has no tasks, is not cordoned and was given no labels;
	// default 168h (7 days); 0: for ever.
	NodeRetention time.Duration `yaml:"node_retention"`
	// Originals has nodes of the Python original driven too, which read the store by themselves: it must be MongoDB; default false.
	Originals bool `yaml:"originals"`
	// OriginalTasks is how many tasks a node of the Python original gets at most, because it does not say what it has; default 20.
	OriginalTasks int `yaml:"original_tasks"`
	// StreamTimeout is how long a host may take to begin a stream that a client waits for; default 10s.
	StreamTimeout time.Duration `yaml:"stream_timeout"`
}

// DefaultConfig is a controller for one machine.
func DefaultConfig() Config {
	return Config{
		ID: "controller", Alone: true, Leads: true, LeaderLease: 2400 * time.Millisecond, Lease: 6 * time.Second, Heartbeat: time.Second, TaskWorkerRetry: -1, Resend: 2 * time.Second,
		Dispatch: dispatch.DefaultConfig(), Retention: 30 * 24 * time.Hour, RetentionTasks: 100_000,
		UsageRetention: 7 * 24 * time.Hour, NodeRetention: 7 * 24 * time.Hour, StreamTimeout: 10 * time.Second, OriginalTasks: 20,
	}
}

// Validate names every fault at once.
func (c Config) Validate() error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, skalds.Field(field, fmt.Sprintf(format, args...)))
	}
	if c.ID == "" {
		add("id", "is missing")
	}
	if c.Heartbeat <= 0 {
		add("heartbeat", "must be above zero")
	}
	if c.Lease < 3*c.Heartbeat || c.Lease < time.Second {
		add("lease", "%s is shorter than one second or three heartbeats of %s: a single late one would cost a node its tasks", c.Lease, c.Heartbeat)
	}
	if c.LeaderLease < 2*time.Second {
		add("leader_lease", "%s is shorter than two seconds: a store that hesitates once would cost the leader its lease", c.LeaderLease)
	}
	if c.TaskWorkerRetry < -1 {
		add("task_worker_retry", "%d is no number of retries: use 0 or more, or -1 for the default", c.TaskWorkerRetry)
	}
	for name, d := range map[string]time.Duration{"resend": c.Resend, "stream_timeout": c.StreamTimeout} {
		if d <= 0 {
			add(name, "must be above zero")
		}
	}
	if c.OriginalTasks < 1 {
		add("original_tasks", "must be 1 or more")
	}
	if c.Retention < 0 {
		add("retention", "must not be negative")
	}
	if c.UsageRetention < 0 {
		add("usage_retention", "must not be negative")
	}
	if c.NodeRetention < 0 {
		add("node_retention", "must not be negative")
	}
	if c.RetentionTasks < 0 {
		add("retention_tasks", "must not be negative")
	}
	return skalds.Invalid("the configuration of the controller does not work", errors.Join(errors.Join(errs...), c.Dispatch.Validate()))
}
