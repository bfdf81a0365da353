package controllertest

import (
	"slices"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
)

// Host speaks like a host and runs nothing: marks, reports, outcomes, heartbeats and the lease follow the rules of a real
// one, and what a real one keeps on disk survives Kill.
type Host struct {
	ID      string
	Workers []skalds.WorkerInfo
	Labels  map[string]string
	// Isolation is what it says that it can do for that of tasks.
	Isolation skalds.NodeAbilities
	Capacity  skalds.Capacity
	Mode      skalds.NodeMode
	Lease     time.Duration // 0: 6s
	Behave    func(c skalds.Command, attempt int) Plan
	Usage     skalds.Usage // of every running task
	// Enforcement is what heartbeats say of limits.
	Enforcement skalds.Enforcement
	// Watch, where set, hears of every process that begins and ends.
	Watch func(taskID string, epoch int64, runs bool)
	Step  time.Duration // how often it looks what has ended, and at its lease; 0: 20ms

	bus Line

	mu          sync.Mutex // guards all below
	incarnation int64
	beatSeq     int64
	reportSeq   int64
	said        int64     // number of the last hello
	saidAt      time.Time // when
	needed      int64     // number of the first hello whose answer counts
	answered    bool      // it has come: dispatched tasks are taken
	cut         bool
	leaving     bool      // starts nothing more
	renewed     time.Time // the last heartbeat that got through
	unbroken    time.Time // since when they have, without a gap that cost the tasks their lease
	marks       map[string]heldMark
	running     map[string]*instance
	outcomes    map[skalds.OutcomeKey]skalds.Outcome // that no controller has acknowledged
	recorded    []skalds.Outcome                     // all there ever were
	finals      map[string]skalds.Report
	frozen      bool
	term        int64                // the highest of a leader's
	waiting     []skalds.HostMessage // that could not be sent
	received    []skalds.NodeMessage
	starts      map[string]int // of processes, by task
	inbox       <-chan skalds.NodeMessage
	stop        chan struct{}
	done        chan struct{}
}

// NewHost makes a host that offers workers; Start starts it.
func NewHost(bus Line, id string, workers ...skalds.WorkerInfo) *Host {
	return &Host{
		ID: id, Workers: workers, bus: bus, Capacity: skalds.Capacity{CPUCores: 8, MemoryBytes: 8 << 30}, Mode: skalds.NodeModeNode,
		Behave: func(skalds.Command, int) Plan { return Plan{Runs: 100 * time.Millisecond} },
		marks:  map[string]heldMark{}, outcomes: map[skalds.OutcomeKey]skalds.Outcome{}, finals: map[string]skalds.Report{},
		starts: map[string]int{},
	}
}

// Worker is a plugin with one class that takes any attachments.
func Worker(name, version, class string) skalds.WorkerInfo {
	return skalds.WorkerInfo{Name: name, Version: version, Digest: "sha256:" + name + version, Protocol: 1, Classes: []skalds.ClassInfo{{ClassName: class}}}
}

// Starts says how often processes of a task were started here.
func (h *Host) Starts(taskID string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts[taskID]
}

// Runs reports whether a process of a task is here.
func (h *Host) Runs(taskID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := h.running[taskID]
	return in != nil && !in.dead
}

// Open is how many outcomes no controller has acknowledged.
func (h *Host) Open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.outcomes)
}

// Recorded lists every outcome that there was, acknowledged or not.
func (h *Host) Recorded() []skalds.Outcome {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.recorded)
}

// Renewed is when a heartbeat got through the last time, and since when they have done so without a gap that
// cost the tasks here their lease.
func (h *Host) Renewed() (last, unbroken time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.renewed, h.unbroken
}

// Incarnation counts the starts of the host.
func (h *Host) Incarnation() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.incarnation
}

// Received lists what controllers have told the host.
func (h *Host) Received() []skalds.NodeMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.received)
}
