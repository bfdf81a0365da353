package dispatch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// Strategy says which of several nodes with room gets a task.
type Strategy string

// The strategies.
const (
	Fit    Strategy = "fit"    // the node that is fullest already: large tasks find room later
	Spread Strategy = "spread" // the node that is emptiest
)

// Config of a ledger.
type Config struct {
	// Strategy is fit (default) or spread.
	Strategy Strategy `yaml:"strategy"`
	// CPUOvercommit is how many times a node's CPU may be promised to tasks that did not ask for CPU; default 4, at least 1.
	// Memory is never promised twice.
	CPUOvercommit float64 `yaml:"cpu_overcommit"`
	// MaxScored is how many nodes with room are compared for one task; default 64.
	MaxScored int `yaml:"max_scored"`
}

// DefaultConfig fits tasks tightly.
func DefaultConfig() Config { return Config{Strategy: Fit, CPUOvercommit: 4, MaxScored: 64} }

// Validate names every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.Strategy != Fit && c.Strategy != Spread {
		errs = append(errs, skalds.Field("strategy", fmt.Sprintf("%q is neither fit nor spread", c.Strategy)))
	}
	if c.CPUOvercommit < 1 {
		errs = append(errs, skalds.Field("cpu_overcommit", "must be 1 or more"))
	}
	if c.MaxScored < 1 {
		errs = append(errs, skalds.Field("max_scored", "must be 1 or more"))
	}
	return errors.Join(errs...)
}

// Ledger is who has what: the nodes, what they offer and have left, and the tasks that were handed to them. It is not
// safe for concurrent use.
type Ledger struct {
	cfg      Config
	nodes    map[string]*node
	byClass  map[string][]*node // in the order of their ids
	tasks    map[string]*held
	profiles map[profileKey]*Profile
	left     [2]map[string]run // the last attempts of tasks that were released lately, the newer ones first
	cursor   int
	numbers  uint64 // given to entries so far
}

// node is one node's page.
type node struct {
	id        string
	blocked   string            // why it gets nothing new; empty: it may
	bound     bool              // but for what is bound to it
	announced map[string]string // labels that its host says it has
	given     map[string]string // those that people gave it
	labels    map[string]string // both
	isolation skalds.NodeAbilities
	capacity  skalds.Capacity
	foreign   skalds.Usage // smoothed
	beaten    bool         // a heartbeat was seen
	original  int          // how many tasks it takes, because it does not say what it has; 0: it does
	offers    map[string][]offer
	tasks     map[string]*held
	strangers map[string]*held // measured here, but handed out to nobody here: the last moments of tasks that have ended
	taken     skalds.Resources // by tasks and strangers: the larger of expected and measured
	perClass  map[string]int   // tasks and strangers
}

// held is what one task takes of a node.
type held struct {
	taskID    string
	className string
	worker    string // "name@version" that the last measurement was of
	node      *node
	expected  skalds.Resources
	measured  skalds.Usage
	counted   skalds.Resources // what it adds to node.taken
	attempt   run              // that the last measurement was of
	peak      skalds.Usage     // of that attempt, as far as it was learned
	start     skalds.Usage     // the most while that attempt was starting; zero where the start is over and learned
	seen      bool             // a heartbeat has shown it
	missing   int              // heartbeats since that have not
	number    uint64           // of the store's word that it is here; 0: reserved only
	promise   bool             // room is kept for a task that is somewhere else still
}

// NewLedger makes an empty one.
func NewLedger(cfg Config) *Ledger {
	return &Ledger{
		cfg: cfg, nodes: map[string]*node{}, byClass: map[string][]*node{}, tasks: map[string]*held{}, profiles: map[profileKey]*Profile{},
	}
}

func (l *Ledger) node(id string) *node {
	n := l.nodes[id]
	if n == nil {
		n = &node{id: id, blocked: "has not said hello yet", tasks: map[string]*held{}, strangers: map[string]*held{}, perClass: map[string]int{}}
		l.nodes[id] = n
	}
	return n
}

// Block says why a node gets nothing new, or (exceptBound) nothing but what is bound to it; empty: it may. It reports
// whether that has changed.
func (l *Ledger) Block(nodeID, why string, exceptBound bool) bool {
	n := l.node(nodeID)
	if n.blocked == why && n.bound == exceptBound {
		return false
	}
	n.blocked, n.bound = why, exceptBound
	return true
}

// Forget removes a node and everything on it.
func (l *Ledger) Forget(nodeID string) {
	n := l.nodes[nodeID]
	if n == nil {
		return
	}
	for id := range n.tasks {
		delete(l.tasks, id)
	}
	l.index(n, nil)
	delete(l.nodes, nodeID)
}

// Original makes a node one of the Python original, which does not say what it has: it gets up to a number of tasks, and only those
// that no other node takes; 0: it is one of ours.
func (l *Ledger) Original(nodeID string, tasks int) { l.node(nodeID).original = tasks }

// SetWorkers says what a node can start.
func (l *Ledger) SetWorkers(nodeID string, workers []skalds.WorkerInfo) {
	n := l.node(nodeID)
	l.index(n, offers(workers))
}

// SetLabels says which labels people gave to a node.
func (l *Ledger) SetLabels(nodeID string, given map[string]string) {
	n := l.node(nodeID)
	n.given = given
	n.labels = JoinLabels(n.announced, n.given)
}

// JoinLabels are the labels that count: what the host announces, and over it what people gave. Neither is changed.
func JoinLabels(announced, given map[string]string) map[string]string {
	if len(given) == 0 {
		return announced
	}
	out := make(map[string]string, len(announced)+len(given))
	maps.Copy(out, announced)
	maps.Copy(out, given)
	return out
}

// index exchanges what a node offers, in the index of classes too.
func (l *Ledger) index(n *node, now map[string][]offer) {
	byID := func(a *node, id string) int { return strings.Compare(a.id, id) }
	for class := range n.offers {
		if _, still := now[class]; !still {
			if i, ok := slices.BinarySearchFunc(l.byClass[class], n.id, byID); ok {
				l.byClass[class] = slices.Delete(l.byClass[class], i, i+1)
			}
		}
	}
	for class := range now {
		if i, ok := slices.BinarySearchFunc(l.byClass[class], n.id, byID); !ok {
			l.byClass[class] = slices.Insert(l.byClass[class], i, n)
		}
	}
	n.offers = now
}

// foreignWeight is the weight of the newest heartbeat in the smoothed figure of what others use.
const foreignWeight = 0.3

// Observe takes a heartbeat: what the node has, what others use of it, and what each task takes. It learns from it.
func (l *Ledger) Observe(hb *skalds.Heartbeat, now time.Time) {
	n := l.node(hb.NodeID)
	n.announced, n.isolation, n.capacity = hb.Labels, hb.Isolation, hb.Capacity
	n.labels = JoinLabels(n.announced, n.given)
	if !n.beaten {
		n.foreign, n.beaten = hb.Foreign, true
	} else {
		n.foreign.CPUCores += foreignWeight * (hb.Foreign.CPUCores - n.foreign.CPUCores)
		n.foreign.MemoryBytes += int64(foreignWeight * float64(hb.Foreign.MemoryBytes-n.foreign.MemoryBytes))
	}
	for _, h := range n.strangers {
		n.drop(h)
	}
	clear(n.strangers)
	seen := make(map[string]bool, len(hb.Instances))
	for i := range hb.Instances {
		in := &hb.Instances[i]
		seen[in.TaskID] = true
		h := n.tasks[in.TaskID]
		if h == nil {
			if in.PID == 0 {
				continue
			}
			h = &held{taskID: in.TaskID, className: in.ClassName, node: n}
			n.strangers[in.TaskID] = h
			n.perClass[in.ClassName]++
		} else {
			l.learn(h, in, hb.At, now)
			h.seen, h.missing = true, 0
		}
		h.measured = in.Usage
		n.recount(h)
	}
	for id, h := range n.tasks {
		if seen[id] {
			continue
		}
		h.missing++
		if h.measured != (skalds.Usage{}) {
			h.measured = skalds.Usage{}
			n.recount(h)
		}
	}
}

// How many heartbeats may lack a task: one that they showed before, whose end is being told, and one that its node may not
// have heard of yet.
const (
	missingBeats     = 5
	undeliveredBeats = 30
)

// Missing reports whether heartbeats of a node do not show a task that is entered there, once for each time.
func (l *Ledger) Missing(nodeID string) bool {
	found := false
	if n := l.nodes[nodeID]; n != nil {
		for _, h := range n.tasks {
			if h.promise {
				continue
			}
			if h.missing >= undeliveredBeats || h.seen && h.missing >= missingBeats {
				found, h.missing = true, 0
			}
		}
	}
	return found
}

// recount puts the larger of expected and measured in the place of what the task counted before.
func (n *node) recount(h *held) {
	c := skalds.Resources{
		CPUCores:    max(h.expected.CPUCores, h.measured.CPUCores),
		MemoryBytes: max(h.expected.MemoryBytes, h.measured.MemoryBytes),
	}
	n.taken.CPUCores += c.CPUCores - h.counted.CPUCores
	n.taken.MemoryBytes += c.MemoryBytes - h.counted.MemoryBytes
	h.counted = c
}

// drop takes a task's share back.
func (n *node) drop(h *held) {
	n.taken.CPUCores -= h.counted.CPUCores
	n.taken.MemoryBytes -= h.counted.MemoryBytes
	h.counted = skalds.Resources{}
	if n.perClass[h.className]--; n.perClass[h.className] <= 0 {
		delete(n.perClass, h.className)
	}
	if len(n.tasks) == 0 && len(n.strangers) == 0 {
		n.taken = skalds.Resources{} // no rest of rounding
	}
}

// Hold enters a task that belongs to a node, as the store says. A task is on one node at most.
func (l *Ledger) Hold(t *skalds.Task, now time.Time) {
	n := l.node(t.Executor)
	l.numbers++
	if h := l.tasks[t.ID]; h != nil {
		if h.node == n {
			h.number = l.numbers
			if t.MemoryLimit > h.expected.MemoryBytes { // raised while it stays here
				h.expected.MemoryBytes = t.MemoryLimit
				n.recount(h)
			}
			return
		}
		l.Release(t.ID)
	}
	r := NewRequest(t)
	var class *skalds.ClassInfo
	var p *Profile
	if o := r.Versions.pick(n.offers[t.ClassName]); o != nil {
		class, p = &o.class, l.profiles[profileKey{t.ClassName, o.ref}]
	}
	l.hold(n, t.ID, t.ClassName, needs(&r, class, p, now).Resources).number = l.numbers
}

func (l *Ledger) hold(n *node, taskID, className string, expected skalds.Resources) *held {
	if s := n.strangers[taskID]; s != nil {
		delete(n.strangers, taskID)
		n.drop(s)
	}
	h := &held{taskID: taskID, className: className, node: n, expected: expected}
	l.tasks[taskID], n.tasks[taskID] = h, h
	n.perClass[className]++
	n.recount(h)
	return h
}

// Entries are the tasks that were entered on a node by the store's word, each with the number of that entry. What is only
// reserved is not among them.
func (l *Ledger) Entries(nodeID string) map[string]uint64 {
	out := map[string]uint64{}
	if n := l.nodes[nodeID]; n != nil {
		for id, h := range n.tasks {
			if h.number != 0 {
				out[id] = h.number
			}
		}
	}
	return out
}

// AllEntries are those of every node.
func (l *Ledger) AllEntries() map[string]uint64 {
	out := make(map[string]uint64, len(l.tasks))
	for id, h := range l.tasks {
		if h.number != 0 {
			out[id] = h.number
		}
	}
	return out
}

// ReleaseEntries releases tasks whose entries still have the numbers given.
func (l *Ledger) ReleaseEntries(entries map[string]uint64) {
	for id, number := range entries {
		if h := l.tasks[id]; h != nil && h.number == number {
			l.Release(id)
		}
	}
}

// Release takes a task off its node; it reports whether it was on one.
func (l *Ledger) Release(taskID string) bool {
	h := l.tasks[taskID]
	if h == nil {
		return false
	}
	delete(l.tasks, taskID)
	delete(h.node.tasks, taskID)
	h.node.drop(h)
	l.leave(h)
	return true
}

// On names the node that a task is entered on; empty: none.
func (l *Ledger) On(taskID string) string {
	if h := l.tasks[taskID]; h != nil {
		return h.node.id
	}
	return ""
}

// Free is what a node has left for tasks, as the next placement counts it.
func (l *Ledger) Free(nodeID string) skalds.Resources {
	if n := l.nodes[nodeID]; n != nil {
		return n.free()
	}
	return skalds.Resources{}
}

// free = capacity − what others use − the larger of expected and measured of every task, those included that were handed
// out so recently that no measurement shows them.
func (n *node) free() skalds.Resources {
	return skalds.Resources{
		CPUCores:    n.capacity.CPUCores - n.foreign.CPUCores - n.taken.CPUCores,
		MemoryBytes: n.capacity.MemoryBytes - n.foreign.MemoryBytes - n.taken.MemoryBytes,
	}
}
