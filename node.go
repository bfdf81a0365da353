package skalds

// NodeMode says where a host gets its tasks from.
type NodeMode string

// The modes of a host.
const (
	NodeModeNode          NodeMode = "node"           // from a controller
	NodeModeEdge          NodeMode = "edge"           // from a YAML file
	NodeModeSingleProcess NodeMode = "single_process" // the first task of a YAML file, then exit
)

// InstanceStatus is one running process as its host sees it.
type InstanceStatus struct {
	TaskID    string   `json:"taskId"`
	ClassName string   `json:"className"`
	Epoch     int64    `json:"epoch"`
	Attempt   int      `json:"attempt"`
	State     State    `json:"state"`
	Phase     Phase    `json:"phase,omitempty"`
	PID       int      `json:"pid,omitempty"`
	Worker    string   `json:"worker,omitempty"` // "rtsp-worker@1.2.0"
	StartedAt int64    `json:"startedAt,omitempty"`
	Usage     Usage    `json:"usage"`
	Peak      Usage    `json:"peak"`
	Progress  Progress `json:"progress,omitzero"`
	Error     string   `json:"error,omitempty"` // last error that did not end the task
}

// Heartbeat is what a host says about itself every second. The incarnation is a number kept on disk and raised at every
// start of the host; Seq grows by one with each heartbeat of an incarnation.
type Heartbeat struct {
	NodeID      string            `json:"nodeId"`
	Incarnation int64             `json:"incarnation"`
	Seq         int64             `json:"seq"`
	At          int64             `json:"at"` // ms since epoch, the sender's clock: to show, never to decide
	Mode        NodeMode          `json:"mode"`
	Program     string            `json:"program,omitempty"` // version of skalds
	Hostname    string            `json:"hostname,omitempty"`
	PID         int               `json:"pid,omitempty"`
	LeaseMillis int64             `json:"leaseMs,omitempty"` // how long it takes its lease for, which must be what controllers do; 0: not said
	Partition   int32             `json:"partition"`
	Capacity    Capacity          `json:"capacity"`
	Reserved    Resources         `json:"reserved"`
	Used        Usage             `json:"used"`    // whole machine or, with a capacity share, our tasks plus the share of the rest
	Foreign     Usage             `json:"foreign"` // what everything that is not ours uses
	Enforcement Enforcement       `json:"enforcement"`
	Isolation   NodeAbilities     `json:"isolation,omitempty"` // nil: its host does not know of it
	Labels      map[string]string `json:"labels,omitempty"`
	Workers     []string          `json:"workers,omitempty"` // "name@version" that may be started here
	Classes     []string          `json:"classes,omitempty"`
	Instances   []InstanceStatus  `json:"instances,omitempty"`
	Problems    []NodeProblem     `json:"problems,omitempty"`
}

// NodeProblem is a file on a node that cannot be used until somebody repairs it: a worker's executable, the workers file, or an
// entry of it.
type NodeProblem struct {
	Path   string `json:"path"`   // with line and column where they are known: "workers.yml:7:5"
	Reason string `json:"reason"` // what is wrong and what to do
}

// ShortHeartbeat is the one on the Bus: enough to prove life.
type ShortHeartbeat struct {
	NodeID      string `json:"nodeId"`
	Incarnation int64  `json:"incarnation"`
	Seq         int64  `json:"seq"`
}

// Node is the record of a machine in the store: what must outlive heartbeats.
type Node struct {
	ID          string   `json:"id"`
	Mode        NodeMode `json:"mode"`
	Incarnation int64    `json:"incarnation"`
	Partition   int32    `json:"partition"`
	Cordoned    bool     `json:"cordoned,omitempty"` // gets no new task
	Draining    bool     `json:"draining,omitempty"` // its tasks move away

	DrainBegan    int64 `json:"drainBegan,omitempty"`    // ms since epoch, while it is draining
	DrainDeadline int64 `json:"drainDeadline,omitempty"` // ms since epoch: when it ends what is left; 0: never

	// Labels were given to it by people; where its host announces one of the same name, these win.
	Labels map[string]string `json:"labels,omitempty"`

	LastHelloAt int64    `json:"lastHelloAt"`        // ms since epoch
	LostAt      int64    `json:"lostAt,omitempty"`   // ms since epoch; 0: not lost
	LostBy      string   `json:"lostBy,omitempty"`   // who declared it lost; empty: its lease ended
	LeftAt      int64    `json:"leftAt,omitempty"`   // ms since epoch: its host has stopped in good order, and has not come back
	Workers     []string `json:"workers,omitempty"`  // "name@version@digest"
	Revision    int64    `json:"revision,omitempty"` // raised by every change; 0: of before they were counted
	Original    bool     `json:"original,omitempty"` // runs the Python original, which reads the store by itself and answers nothing
	Classes     []string `json:"classes,omitempty"`  // of an original one: what it offered last
}
