package originals

import (
	"errors"
	"time"

	"github.com/skalds-go/skalds"
)

// Config says how long silence may last.
type Config struct {
	// Sync is how often a node writes the list of what it runs, its REDIS_SYNC_PERIOD; default 3s.
	Sync time.Duration
	// Lease is how long a node, or a process, is taken for alive after its last heartbeat; default 15s.
	Lease time.Duration
	// Start is how long a process may take to its first heartbeat once its node lists it; default 1m.
	Start time.Duration
	// Leave is how long a process that has ended may stay on its node's list before it is told to go; default 15s.
	Leave time.Duration
	// Join is how long a process that beats may still miss updates, because it has not joined their topic; default 10s.
	Join time.Duration
	// Gap is how far apart two readings may be; after a longer silence of Redis, or of this program, counting begins anew;
	// default 5s.
	Gap time.Duration
	// Tries is how often a task is assigned to a node that does not show it, before it is placed elsewhere; default 3.
	Tries int
}

// DefaultConfig suits nodes with the settings of the original.
func DefaultConfig() Config {
	return Config{
		Sync: 3 * time.Second, Lease: 15 * time.Second, Start: time.Minute, Leave: 15 * time.Second, Join: 10 * time.Second,
		Gap: 5 * time.Second, Tries: 3,
	}
}

// Validate names every fault at once.
func (c Config) Validate() error {
	var errs []error
	for name, d := range map[string]time.Duration{"sync": c.Sync, "start": c.Start, "leave": c.Leave, "join": c.Join, "gap": c.Gap} {
		if d <= 0 {
			errs = append(errs, skalds.Field(name, "must be above zero"))
		}
	}
	if c.Lease <= skalds.OriginalBeat {
		errs = append(errs, skalds.Field("lease", "must be longer than a heartbeat of the original lives, 8s"))
	}
	if c.Tries < 1 {
		errs = append(errs, skalds.Field("tries", "must be 1 or more"))
	}
	return errors.Join(errs...)
}

// Origin says how a task came to a node.
type Origin int

// The origins.
const (
	Handed  Origin = iota // by this controller, just now: its node has to be told, and nothing of a former run is left in Redis
	Adopted               // by a script, which tells the node by itself
	Loaded                // as the store says: before this controller led, or by another one
)

// Bridge is the picture of the original's nodes and of what they run. It is not safe for concurrent use.
type Bridge struct {
	cfg     Config
	nodes   map[string]*node
	tasks   map[string]*task   // that are a node's by the store
	leavers map[string]*leaver // that are nobody's any more by the store, and whose process may be there
	read    time.Time          // the last reading of nodes
	begun   bool               // nothing was read since it is decided here
}

// New makes an empty one.
func New(cfg Config) *Bridge {
	return &Bridge{cfg: cfg, nodes: map[string]*node{}, tasks: map[string]*task{}, leavers: map[string]*leaver{}}
}

// task is one that is a node's by the store.
type task struct {
	id, node string
	epoch    int64
	origin   Origin
	running  bool      // by the store
	own      bool      // of its node's own file, which decides about it: only its last word and updates are of interest
	gone     bool      // it is to leave its node: drained
	settling time.Time // since when its run has ended, and is to be handed out again when nothing of it is left there; zero: it has not
	heldAt   time.Time

	assign   bool // its node is to be told
	sends    int  // how often it was
	sentAt   time.Time
	sentList int // lists of its node that were read before

	shown    bool // something of it was seen: it is never assigned again
	listedAt time.Time
	firstAt  time.Time // its first heartbeat
	beatAt   time.Time // its last one
	stopAt   time.Time // since when its worker says that it was stopped
	lastAt   time.Time // since when neither list nor heartbeat show it
	lastList int
	seenList int  // the newest list that was read when something last showed it
	ended    bool // a last word was read
	free     bool // at the last look nothing of it was there any more
	expel    bool // its process is to be ended

	desired, acked int64 // revisions, by the store
	base           int64 // the revision that the node has read when it began
	again          time.Time
	cancelledAt    time.Time
}

// leaver is a process that may be there and shall not.
type leaver struct {
	node        string
	since       time.Time
	list        int // lists of its node that were read before
	expel       bool
	free        bool // nothing of it was there any more when it was released, and since
	beats       bool // at the last look
	cancelledAt time.Time
}

// Hold enters a task that is a node's by the store, or what has changed of it.
func (b *Bridge) Hold(t *skalds.Task, origin Origin, now time.Time) {
	k := b.tasks[t.ID]
	if k == nil || k.epoch != t.Epoch || k.node != t.Executor {
		n := b.expect(t.Executor, now)
		k = &task{id: t.ID, node: t.Executor, epoch: t.Epoch, origin: origin, heldAt: now, base: t.AckedRevision, seenList: n.lists}
		switch origin {
		case Handed:
			k.assign, k.base = true, t.DesiredRevision
		case Adopted:
			k.base, k.sentAt, k.sentList, k.sends = t.DesiredRevision, now, n.lists, 1
		case Loaded:
			k.sentAt, k.sentList = now, n.lists
		}
		b.tasks[t.ID] = k
		delete(b.leavers, t.ID) // nobody is told to end what is wanted
	}
	k.running = t.LifecycleStatus != skalds.Assigning
	k.own = t.Mode == skalds.ModeActive
	k.shown = k.shown || k.running
	k.gone = t.Desired == skalds.DesiredGone
	switch {
	case t.Phase != skalds.PhaseStopping:
		k.settling = time.Time{}
	case k.settling.IsZero():
		k.settling = now
	}
	k.desired, k.acked = t.DesiredRevision, t.AckedRevision
}

// Release takes a task out that is no node's any more by the store. Its process may still be there, and is watched until it is
// not; expel has it ended at once.
func (b *Bridge) Release(taskID string, expel bool, now time.Time) {
	k := b.tasks[taskID]
	if k == nil {
		return
	}
	delete(b.tasks, taskID)
	since := now
	if !k.settling.IsZero() {
		since = k.settling
	}
	b.leavers[taskID] = &leaver{node: k.node, since: since, list: b.expect(k.node, now).lists, expel: expel || k.expel, free: k.free && !expel}
}

// Epoch is that of a task that is a node's; 0: it is none's.
func (b *Bridge) Epoch(taskID string) int64 {
	if k := b.tasks[taskID]; k != nil {
		return k.epoch
	}
	return 0
}

// Free reports whether nothing of a task that is a node's was there any more at the last look, or it is waited for until that is so.
func (b *Bridge) Free(taskID string) bool {
	k := b.tasks[taskID]
	return k == nil || k.free || !k.settling.IsZero()
}

// Expel has a process ended that a node runs and nobody wants there.
func (b *Bridge) Expel(taskID, nodeID string, now time.Time) {
	if b.tasks[taskID] == nil {
		b.leavers[taskID] = &leaver{node: nodeID, since: now, list: b.expect(nodeID, now).lists, expel: true}
	}
}

// Stays names the node on which a process of a task may be that is not that node's by the store: it is leaving, or nobody has told it
// to yet. beats: it was alive at the last look. One that does not beat is waited for no longer than twice Config.Leave.
func (b *Bridge) Stays(taskID string, now time.Time) (nodeID string, beats, ok bool) {
	if l := b.leavers[taskID]; l != nil {
		return l.node, l.beats, l.beats || !l.free && now.Sub(l.since) <= 2*b.cfg.Leave
	}
	if b.tasks[taskID] != nil {
		return "", false, false
	}
	for _, n := range b.nodes {
		if n.online && n.mode == skalds.NodeModeNode && n.listed[taskID] {
			return n.id, false, true // it becomes a stranger, and a leaver then
		}
	}
	return "", false, false
}

// Begin forgets the tasks, and keeps the nodes: from now on it is decided here, and what was there before is still to be read.
func (b *Bridge) Begin() {
	b.Clear()
	b.begun = true
}

// Counted reports whether each node that lives has written down twice what it runs since Begin: then what no list shows is nowhere.
func (b *Bridge) Counted() bool {
	if b.begun {
		return false
	}
	for _, n := range b.nodes {
		if n.online && n.mode == skalds.NodeModeNode && n.lists < n.counted {
			return false
		}
	}
	return true
}

// Held lists the tasks that are a node's, but for those that were entered after a time.
func (b *Bridge) Held(nodeID string, until time.Time) []string {
	var out []string
	for id, k := range b.tasks {
		if k.node == nodeID && !k.heldAt.After(until) {
			out = append(out, id)
		}
	}
	return out
}

// Clear forgets the tasks, and keeps the nodes: another controller leads.
func (b *Bridge) Clear() {
	clear(b.tasks)
	clear(b.leavers)
	for _, n := range b.nodes {
		clear(n.strangers)
	}
}
