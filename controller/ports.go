package controller

import (
	"context"
	"encoding/json"
	"time"

	"github.com/skalds-go/skalds"
)

// The ports of the controller, declared here because it is their user. internal/porttest holds a conformance suite for
// each; internal/sqlite, internal/kafka and internal/redis implement them.

// TaskFilter selects tasks. Zero fields select all. Text matches exactly, but IDContains, which is a case-insensitive part
// of the id (no regular expression).
type TaskFilter struct {
	States     []skalds.State
	ClassName  string
	Executor   string
	IDContains string
	Mode       skalds.Mode
	Labels     map[string]string
	Offset     int
	Limit      int // 0: 100
	// Cursor, when set, continues after the task it names; Offset is ignored. Order is createDateTime descending, then id.
	Cursor string
}

// TaskPage is one page of tasks.
type TaskPage struct {
	Items []*skalds.Task
	Total int    // of all that match
	Next  string // cursor of the next page; empty at the end
}

// TaskStore keeps tasks. Implementations are safe for concurrent use. Methods that change something return only after it
// is durable in the store's sense; Create and final states survive a power cut.
type TaskStore interface {
	// Create inserts a task with Revision 1. It fails with skalds.ErrConflict where the id exists, and returns the earlier
	// task and false where the idempotency key has been used before.
	Create(ctx context.Context, t *skalds.Task) (stored *skalds.Task, created bool, err error)
	// Task reads one task; skalds.ErrNotFound.
	Task(ctx context.Context, id string) (*skalds.Task, error)
	// Save stores t if the stored revision is t.Revision, and raises t.Revision (in t) by one. It fails with
	// skalds.ErrRevision where the stored one differs and skalds.ErrNotFound where there is none. A final state is written
	// with full synchronisation.
	Save(ctx context.Context, t *skalds.Task) error
	// Tasks lists, newest first.
	Tasks(ctx context.Context, f TaskFilter) (TaskPage, error)
	// Queue lists tasks in state Created that are not quarantined, priority descending, oldest first.
	Queue(ctx context.Context, limit int) ([]*skalds.Task, error)
	// OnNode lists the tasks that belong to a node (Assigning, Running, Paused with that executor).
	OnNode(ctx context.Context, node string) ([]*skalds.Task, error)
	// Placed lists the tasks of all nodes, by node and oldest first, without reading their documents.
	Placed(ctx context.Context) (map[string][]PlacedTask, error)
	// Unacked lists tasks on nodes whose AckedRevision is behind their DesiredRevision, final ones included.
	Unacked(ctx context.Context, limit int) ([]*skalds.Task, error)
	// CountByState counts; a className of "" means all.
	CountByState(ctx context.Context, className string) (map[skalds.State]int, error)
	// ClassNames lists the classes of all tasks, sorted.
	ClassNames(ctx context.Context) ([]string, error)
	// Prune removes final tasks that ended before the time (ms), and the oldest final ones beyond keep, with their records
	// and usage.
	Prune(ctx context.Context, before int64, keep int) (removed []string, err error)
}

// PlacedTask is what lists of nodes say of a task that belongs to one.
type PlacedTask struct {
	ID    string
	State skalds.State
}

// RecordStore keeps what belongs to tasks but is not their document.
type RecordStore interface {
	// PutOutcome inserts by key, in the order given; a repeated key changes nothing but an attempt without an end, and artifacts, which
	// are replaced. Where it fails some may be kept.
	PutOutcome(ctx context.Context, list ...skalds.Outcome) error
	Attempts(ctx context.Context, taskID string) ([]skalds.Attempt, error) // oldest first
	// Artifacts lists the newest first. Of a path on a node it returns what the last attempt said that told of it: a file that was
	// open when its process was killed is one file, ended by what the next process found.
	Artifacts(ctx context.Context, taskID string, limit int) ([]skalds.Artifact, error)
	Audit(ctx context.Context, e AuditEntry) error
	Audits(ctx context.Context, taskID string, limit int) ([]AuditEntry, error)
}

// AuditEntry says who changed what.
type AuditEntry struct {
	At     int64           `json:"at"` // ms since epoch
	Who    string          `json:"who"`
	Action string          `json:"action"`
	TaskID string          `json:"taskId,omitempty"`
	NodeID string          `json:"nodeId,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// NodeStore keeps nodes, the workers seen, and the store's own numbers.
type NodeStore interface {
	// SaveNode stores n with Revision n.Revision + 1 if the stored revision is n.Revision, where none is stored 0. It fails with
	// skalds.ErrRevision where the stored one differs.
	SaveNode(ctx context.Context, n skalds.Node) error
	Nodes(ctx context.Context) ([]skalds.Node, error)
	// DeleteNode removes a node and its workers if the stored revision is that, where none is stored 0. It fails with skalds.ErrRevision
	// where the stored one differs. One that is not there is no error: what is left of its workers goes.
	DeleteNode(ctx context.Context, id string, revision int64) error
	SaveWorkers(ctx context.Context, nodeID string, workers []skalds.WorkerInfo) error // replaces the node's set
	Workers(ctx context.Context) ([]WorkerOnNodes, error)
	Generation(ctx context.Context) (int64, error) // raised when a backup is restored
	// SaveOffset and Offset keep how far a stream of the bus has been applied.
	SaveOffset(ctx context.Context, stream string, offset string) error
	Offset(ctx context.Context, stream string) (string, error)
}

// WorkerOnNodes is a plugin and the nodes that have it.
type WorkerOnNodes struct {
	skalds.WorkerInfo
	Nodes   []string  `json:"nodes"`
	Learned []Learned `json:"learned,omitempty"` // what tasks of it were measured to take; not stored with it
}

// TaskUsage is a piece of what a task took.
type TaskUsage struct {
	TaskID  string
	Samples []skalds.UsageSample
}

// UsageStore keeps what tasks took. What is lost of it costs no correctness: it needs no synchronisation of the disk.
type UsageStore interface {
	// PutUsage adds samples, in one transaction. A sample may come twice (same At and Span): it is read once.
	PutUsage(ctx context.Context, pieces []TaskUsage) error
	// Usage lists the samples of a task, by At, the longer Span first. Figures are exact to a thousandth of a core, 1 KiB and a
	// hundredth of a percent.
	Usage(ctx context.Context, taskID string) ([]skalds.UsageSample, error)
	// PruneUsage removes samples of before the time (ms), to the hour. TaskStore.Prune removes those of its tasks.
	PruneUsage(ctx context.Context, before int64) error
}

// StoredProfile is what was learned about a class in one version of a worker. Only the dispatcher knows what Doc means.
type StoredProfile struct {
	ClassName string
	Worker    string // "name@version"
	UpdatedAt int64  // ms since epoch
	Doc       json.RawMessage
}

// ProfileStore keeps what was learned about workers.
type ProfileStore interface {
	SaveProfiles(ctx context.Context, profiles []StoredProfile) error // inserts or replaces, in one transaction
	Profiles(ctx context.Context) ([]StoredProfile, error)            // by class name and worker
	PruneProfiles(ctx context.Context, before int64) error            // removes those not updated since (ms)
}

// LeaderLease says which controller decides. It counts renewals instead of naming times, because the clocks of two machines
// differ: who watches judges by how long nothing has changed.
type LeaderLease struct {
	Owner   string        // id of the controller; empty: given back
	Term    int64         // raised by every taking
	Renewal int64         // raised by every writing
	Length  time.Duration // after which others may take it, counted from when they saw it last change
}

// LeaderStore keeps the lease of the controller that decides.
type LeaderStore interface {
	// Leader reads the lease; a zero one where none was ever taken. It sees every SaveLeader that has returned.
	Leader(ctx context.Context) (LeaderLease, error)
	// SaveLeader replaces prev by next, durably, if Term and Renewal of the stored lease are those of prev; a zero prev means that none
	// is stored. It fails with skalds.ErrRevision where another has written.
	SaveLeader(ctx context.Context, prev, next LeaderLease) error
}

// Store is what a controller keeps things in.
type Store interface {
	TaskStore
	RecordStore
	NodeStore
	UsageStore
	ProfileStore
	LeaderStore
	Ping(ctx context.Context) error
	Close() error
}

// RestoreStore is a Store that a backup can be put into, while no controller uses it.
type RestoreStore interface {
	Store
	// Clear removes everything but the generation and the leader's lease. Where it fails, part of it may be gone.
	Clear(ctx context.Context) error
	// RaiseGeneration makes the generation higher than it was and higher than above, durably, and returns it.
	RaiseGeneration(ctx context.Context, above int64) (int64, error)
}

// Bus carries commands to hosts and reports back. Sends return after the bus has the message durably (acks from all
// replicas); they are safe for concurrent use and keep the order of one caller.
type Bus interface {
	// Send delivers messages to the nodes that read the partition, in order. Those that can never be sent are left out and named
	// by a *skalds.UnsendableError.
	Send(ctx context.Context, partition int32, msgs ...skalds.NodeMessage) error
	// Reports blocks and calls fn for every message of hosts, in order per node, from the offset on ("" = the beginning of
	// what the bus still holds). fn gets the offset to continue after it. It returns nil when ctx ends.
	// caughtUp (may be nil) is called once when the end seen at the start has been reached.
	Reports(ctx context.Context, from string, caughtUp func(), fn func(ctx context.Context, m skalds.HostMessage, next string)) error
	// Heartbeats blocks and calls fn for every short heartbeat from now on. alive is called at least every second as long
	// as the bus answers and has been read to its end.
	Heartbeats(ctx context.Context, alive func(), fn func(skalds.ShortHeartbeat)) error
	// PublishChange announces applied changes, in order. Those that can never be sent are left out and named by a
	// *skalds.UnsendableError; after any other error some may have gone out.
	PublishChange(ctx context.Context, changes ...skalds.Change) error
	// Changes blocks and calls fn for every change. after is the id of the last one seen ("" = from now on). fn gets the
	// event's id; reset is called instead of a replay where after is unknown.
	Changes(ctx context.Context, after string, reset func(), fn func(id string, c skalds.Change)) error
	// PublishEvent puts an event about a task on one of the original's topics, for Python nodes. Its initiator and missing times
	// are filled in. An event is a hint: Python nodes that are away never read it.
	PublishEvent(ctx context.Context, topic, taskID string, e skalds.TaskEvent) error
	// Requests blocks and calls fn for every event of the original's topics after the place ("" = from now on), but for those that
	// controllers wrote. fn gets the place to continue after it; begun (may be nil) gets the place from which is read whenever
	// reading begins.
	Requests(ctx context.Context, from string, begun func(next string), fn func(topic string, e skalds.TaskEvent, next string)) error
	Ping(ctx context.Context) error
	Close() error
}

// HeartbeatStore holds the latest heartbeat of every node, with a time to live.
type HeartbeatStore interface {
	// Heartbeats reads all of them in one round trip.
	Heartbeats(ctx context.Context) ([]skalds.Heartbeat, error)
	// Forget removes a node's keys.
	Forget(ctx context.Context, nodeID string) error
	Ping(ctx context.Context) error
}

// ControllerRegistry is where controllers announce their addresses. Entries go by themselves when they are not renewed.
type ControllerRegistry interface {
	Announce(ctx context.Context, c skalds.ControllerInfo, ttl time.Duration) error
	// Controllers lists those announced, by id.
	Controllers(ctx context.Context) ([]skalds.ControllerInfo, error)
	// Withdraw removes an entry; one that is not there is no error.
	Withdraw(ctx context.Context, id string) error
}
