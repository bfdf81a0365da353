package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
)

// Config says what a host is and where its tasks come from.
type Config struct {
	// NodeID names this node in the cluster; empty: a name is made once and kept in DataDir. Two live hosts must not share one.
	NodeID string `yaml:"node_id"`
	// Node takes tasks from controllers; needs Deps.Bus.
	Node bool `yaml:"node"`
	// Edge takes tasks from WorkersFile.
	Edge bool `yaml:"edge"`
	// WorkersFile is the TaskWorkers YAML of an edge or single_process host; read again when it changes.
	WorkersFile string `yaml:"workers_file"`
	// DataDir is where journal, logs, recordings, checkpoints and secrets lie. Only one host may use it.
	DataDir string `yaml:"data_dir"`
	// Labels are what the constraints of tasks are matched against.
	Labels map[string]string `yaml:"labels"`
	// CapacityShare is the part of the machine that this host may hand out, 0 < share ≤ 1; default 1.
	CapacityShare float64 `yaml:"capacity_share"`
	// Lease is how long this node counts as alive after a heartbeat; default 6s, at least 3 heartbeats.
	Lease time.Duration `yaml:"lease"`
	// Heartbeat is the time between two heartbeats; default 1s.
	Heartbeat time.Duration `yaml:"heartbeat"`
	// HeartbeatTTL is how long a heartbeat stays readable after its node has gone silent; default 15s.
	HeartbeatTTL time.Duration `yaml:"heartbeat_ttl"`
	// Grace is how long a worker may take to stop before its tree is killed; default 10s.
	Grace time.Duration `yaml:"grace"`
	// LogDir is the folder of the log files of tasks; default <DataDir>/logs.
	LogDir string `yaml:"log_dir"`
	// LogSplit writes a file per task; without it only the last lines of each running task are kept, in memory. Default true.
	LogSplit bool `yaml:"log_split"`
	// LogRotationMB is the size at which a task's log file is rotated; default 10.
	LogRotationMB int `yaml:"log_rotation_mb"`
	// LogRetention is how long rotated log files are kept, in whole days, five of each task at most; default 72h.
	LogRetention time.Duration `yaml:"log_retention"`
	// WorkerRetry is TASK_WORKER_RETRY: retries of tasks that say nothing and are not persistent; -1, the default, means
	// skalds.DefaultMaxAttempts attempts in all.
	WorkerRetry int `yaml:"worker_retry"`
	// Program is the version of skalds, shown with the node.
	Program string `yaml:"-"`
}

// DefaultConfig is a host that takes tasks from both sources.
func DefaultConfig() Config {
	return Config{
		Node:          true,
		Edge:          true,
		DataDir:       "skalds-data",
		CapacityShare: 1,
		Lease:         6 * time.Second,
		Heartbeat:     time.Second,
		HeartbeatTTL:  15 * time.Second,
		Grace:         skalds.DefaultGrace,
		LogSplit:      true,
		LogRotationMB: 10,
		LogRetention:  72 * time.Hour,
		WorkerRetry:   -1,
	}
}

// Validate names every fault at once.
func (c Config) Validate() error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, skalds.Field(field, fmt.Sprintf(format, args...)))
	}
	if c.NodeID != "" {
		if err := skalds.ValidateID(c.NodeID); err != nil {
			add("node_id", "%v", err)
		}
	}
	if c.DataDir == "" {
		add("data_dir", "is missing: name a folder for this host's data")
	}
	if c.CapacityShare <= 0 || c.CapacityShare > 1 {
		add("capacity_share", "%g is not above 0 and at most 1", c.CapacityShare)
	}
	if c.Heartbeat <= 0 {
		add("heartbeat", "%s is not above zero", c.Heartbeat)
	}
	if c.Lease < 3*c.Heartbeat {
		add("lease", "%s is shorter than three heartbeats of %s: a single late one would cost the node its tasks", c.Lease, c.Heartbeat)
	}
	if c.Grace < 0 {
		add("grace", "must not be negative")
	}
	if c.LogRotationMB < 0 {
		add("log_rotation_mb", "must not be negative")
	}
	if c.LogRetention < 0 {
		add("log_retention", "must not be negative")
	}
	return skalds.Invalid("the configuration of the host does not work", errors.Join(errs...))
}

// mode is the original's word for this host.
func (c Config) mode() skalds.NodeMode {
	if c.Node {
		return skalds.NodeModeNode
	}
	return skalds.NodeModeEdge
}
