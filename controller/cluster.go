package controller

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
	"github.com/skalds-go/skalds/controller/monitor"
)

// cluster is the controller's picture of nodes and of what runs on them: the ledger, the leases, the latest heartbeats.
// Everything in it can be built anew from the store and the next heartbeats.
type cluster struct {
	cfg     Config
	history *usageHistory
	reading chan struct{} // holds one token: whoever reads all nodes
	records turns         // whoever stores the record of a node, see storing

	mu      sync.Mutex // guards all below
	ledger  *dispatch.Ledger
	leases  *monitor.Leases
	nodes   map[string]*member
	live    map[string]liveTask // by task id
	workers *offers             // every plugin that a node offers, or offered last
	retired []skalds.WorkerInfo // those that none offers any more, though processes of them run
	leads   bool                // this controller answers hellos

	waitingSince time.Time // since when reports have been waiting to be applied; zero: none do
}

// member is a node.
type member struct {
	record    skalds.Node
	heartbeat *skalds.Heartbeat
	seenAt    time.Time
	online    bool
	oddLease  bool  // its lease differs, and that was said
	heir      int64 // an incarnation whose hello has come too early; 0: none
	greeted   int64 // the incarnation whose hello was answered in this life of the controller; 0: none
	askedAt   time.Time
	asked     int      // how often a hello was asked for without one coming
	original  bool     // runs the Python original
	classes   []string // of an original one: what it offers
}

type liveTask struct {
	node   string
	status skalds.InstanceStatus
}

// lease is how long a node lives after a heartbeat, with what is added for clocks and delays.
func (c *cluster) lease() time.Duration {
	l := monitor.ForLease(c.cfg.Lease)
	return l.Lease + l.Drift
}

func newCluster(cfg Config) *cluster {
	return &cluster{
		cfg: cfg, history: newUsageHistory(), reading: make(chan struct{}, 1), records: newTurns(), ledger: dispatch.NewLedger(cfg.Dispatch),
		leases: monitor.NewLeases(monitor.ForLease(cfg.Lease)), nodes: map[string]*member{}, live: map[string]liveTask{},
		workers: noOffers(),
	}
}

func (c *cluster) member(id string) *member {
	m := c.nodes[id]
	if m == nil {
		m = &member{record: skalds.Node{ID: id}}
		c.nodes[id] = m
	}
	return m
}

// lead says whether this controller leads. One that begins to has answered no hello yet.
func (c *cluster) lead(leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leads, c.waitingSince = leads, time.Time{}
	for id, m := range c.nodes {
		if leads {
			m.greeted, m.asked = 0, 0
		}
		c.judge(id)
	}
}

// leftTo hears from the controller that leads that a node is not there any more. Its lease is that one's matter.
func (c *cluster) leftTo(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.nodes[id]
	if m == nil || m.original {
		return // whether the latter lives is seen here
	}
	m.online, m.greeted = false, 0
	c.leases.Left(id)
	c.judge(id)
}

// judge settles whether a node may get new tasks; it reports whether it has just become able to. The mutex is held.
func (c *cluster) judge(id string) bool {
	m := c.nodes[id]
	why, exceptBound := "", false
	switch {
	case m.record.LostAt != 0 && !m.online:
		why = "is lost"
	case !m.online:
		why = "is offline"
	case !m.original && (m.greeted == 0 || m.greeted != c.leases.Incarnation(id) || c.leases.Contended(id)):
		why = "has not said hello yet"
	case m.record.Mode == skalds.NodeModeEdge:
		why, exceptBound = "runs the tasks of its own file only", true
	case m.record.Draining:
		why, exceptBound = "is draining", true
	case m.record.Cordoned:
		why, exceptBound = "is cordoned", true
	}
	return c.ledger.Block(id, why, exceptBound) && (why == "" || exceptBound)
}

// heard takes a heartbeat of either channel.
func (c *cluster) heard(id string, incarnation, seq int64, now time.Time) (h monitor.Hearing, cameOnline bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h = c.leases.Heard(id, incarnation, seq, now)
	if !h.News {
		if c.nodes[id] != nil {
			c.judge(id)
		}
		return h, false
	}
	m := c.member(id)
	c.ours(m)
	cameOnline = !m.online
	m.online, m.seenAt = true, now
	c.judge(id)
	return h, cameOnline
}

// observe takes the full heartbeats of the store; it reports whether a task may fit now that did not fit before.
func (c *cluster) observe(beats []skalds.Heartbeat, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.live)
	for i := range beats {
		hb := &beats[i]
		m := c.nodes[hb.NodeID]
		if m == nil || !m.online || hb.Incarnation > c.leases.Incarnation(hb.NodeID) || (m.heartbeat != nil && m.heartbeat.Incarnation == hb.Incarnation && m.heartbeat.Seq > hb.Seq) {
			continue
		}
		fresh := m.heartbeat == nil || m.heartbeat.Incarnation != hb.Incarnation || m.heartbeat.Seq != hb.Seq
		m.heartbeat = hb
		if own := c.cfg.Lease.Milliseconds(); hb.LeaseMillis != 0 && hb.LeaseMillis != own {
			hb.Problems = append(slices.Clone(hb.Problems), oddLease(hb.LeaseMillis, own))
		}
		if fresh {
			c.ledger.Observe(hb, now)
			if c.leads && m.greeted == hb.Incarnation && !c.behind(now) && c.ledger.Missing(hb.NodeID) {
				m.greeted = 0 // the word of an end has been lost: it says hello, and the answer settles that
				c.judge(hb.NodeID)
			}
		}
		for _, in := range hb.Instances {
			c.live[in.TaskID] = liveTask{hb.NodeID, in}
			if fresh {
				c.history.add(in.TaskID, skalds.UsageSample{At: now.UnixMilli(), Usage: in.Usage, Progress: in.Progress.Percent})
			}
		}
	}
}

// maxBehind is how long reports may wait to be applied before a task that its node shows no more is taken for one whose end is among
// them. A hello would have to wait behind them, and its answer asks the store for every task of the node.
const maxBehind = 2 * time.Second

// reportsWait says since when reports have been waiting to be applied; the zero time: none do.
func (c *cluster) reportsWait(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waitingSince.IsZero() || since.IsZero() {
		c.waitingSince = since
	}
}

func (c *cluster) behind(now time.Time) bool {
	return !c.waitingSince.IsZero() && now.Sub(c.waitingSince) > maxBehind
}

// silent takes a node off that is lost or has left.
func (c *cluster) silent(id string, lostAt int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.member(id)
	m.online, m.greeted, m.asked = false, 0, 0
	m.record.LostAt = lostAt
	c.judge(id)
}

// hostGone takes a node off whose host has died or fallen silent: it gets nothing before another hello, and its lease runs on.
// Where a later incarnation is known, known is false and nothing changes; was says whether the node was online.
func (c *cluster) hostGone(id string, incarnation int64, silent bool, now time.Time) (known, was bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.member(id)
	if known := max(m.record.Incarnation, c.leases.Incarnation(id)); known > incarnation || known != 0 && known < incarnation {
		return false, m.online
	}
	c.leases.Gone(id, incarnation, silent, now)
	was = m.online
	m.online, m.greeted, m.asked = false, 0, 0
	c.judge(id)
	return true, was
}

// instance is what the latest heartbeat of the task's node says about it; nil: nothing.
func (c *cluster) instance(t *skalds.Task) *skalds.InstanceStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.live[t.ID]
	if !ok || l.node != t.Executor && t.Executor != "" {
		return nil
	}
	s := l.status
	return &s
}

// partition is the one that a node reads; false where nobody knows.
func (c *cluster) partition(id string) (int32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.nodes[id]
	switch {
	case m == nil || m.original:
		return 0, false
	case m.greeted != 0 || m.record.LastHelloAt != 0 && (m.heartbeat == nil || m.heartbeat.Incarnation == m.record.Incarnation):
		return m.record.Partition, true
	case m.heartbeat != nil:
		return m.heartbeat.Partition, true
	}
	return 0, false
}

// known lists the plugins that were ever seen.
func (c *cluster) known() []skalds.WorkerInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]skalds.WorkerInfo, len(c.workers.list))
	for i, p := range c.workers.list {
		out[i] = *p.info
	}
	for _, w := range c.originalWorkers() {
		out = append(out, w.WorkerInfo)
	}
	return out
}

// plugins lists them with the nodes that have them.
func (c *cluster) plugins() []WorkerOnNodes {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]WorkerOnNodes, len(c.workers.list))
	for i, p := range c.workers.list {
		out[i] = WorkerOnNodes{WorkerInfo: *p.info, Nodes: p.nodes}
	}
	return append(out, c.originalWorkers()...)
}

// offered is what is known of plugins, for comparing.
func (c *cluster) offered() []*plugin {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.workers.list)
}

// hasWorkers reports whether a node is known to offer exactly these.
func (c *cluster) hasWorkers(id string, workers []skalds.WorkerInfo) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers.has(id, workers)
}

func (c *cluster) setWorkers(id string, workers []skalds.WorkerInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retire(c.workers.set(id, workers))
	c.ledger.SetWorkers(id, workers)
}

// retire keeps what is known of plugins whose files are gone while processes of them run. The mutex is held.
func (c *cluster) retire(gone []*skalds.WorkerInfo) {
	if len(gone)+len(c.retired) == 0 {
		return
	}
	offered, runs := map[string]bool{}, map[string]bool{}
	for _, p := range c.workers.list {
		offered[p.info.Ref()] = true
	}
	for _, l := range c.live {
		runs[l.status.Worker] = true
	}
	before := c.retired
	for _, w := range gone {
		before = append(before, *w)
	}
	var kept []skalds.WorkerInfo
	for i := range before {
		if ref := before[i].Ref(); runs[ref] && !offered[ref] {
			offered[ref] = true // once
			kept = append(kept, before[i])
		}
	}
	c.retired = kept
}

// class is what is known of a class in one plugin, "name@version"; nil: nothing.
func (c *cluster) class(ref, className string) *skalds.ClassInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.workers.list {
		if p.info.Ref() == ref {
			return p.info.Class(className)
		}
	}
	for i := range c.retired {
		if c.retired[i].Ref() == ref {
			return c.retired[i].Class(className)
		}
	}
	return nil
}

// node is a node's record and state.
func (c *cluster) view(id string) (NodeView, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.nodes[id]
	if m == nil {
		return NodeView{}, false
	}
	return c.shown(m), true
}

func (c *cluster) views() []NodeView {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]NodeView, 0, len(c.nodes))
	for _, m := range c.nodes {
		out = append(out, c.shown(m))
	}
	slices.SortFunc(out, func(a, b NodeView) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// shown is a node for people. Who does not lead declares nobody lost and hears of it by the one that does; where none does, or an old
// heartbeat of a node that is gone was found in the store, the node is shown as gone all the same. The mutex is held.
func (c *cluster) shown(m *member) NodeView {
	online := m.online && (m.original || !c.leases.Overdue(m.record.ID))
	v := NodeView{
		Node: m.record, Online: online, Heartbeat: m.heartbeat,
		Greeted: online && (m.original || m.greeted != 0 && m.greeted == c.leases.Incarnation(m.record.ID)),
	}
	if !m.seenAt.IsZero() {
		v.SeenAt = m.seenAt.UnixMilli()
	}
	return v
}

// stored takes in the record of a node as it was stored; it reports whether the node may get tasks now that it might not get
// before.
func (c *cluster) stored(n skalds.Node) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.member(n.ID)
	if n.Revision < m.record.Revision { // another was faster, and its change, which has this one in it, was read meanwhile
		return false
	}
	m.record = n
	if !m.original {
		c.loadOriginal(m)
	}
	c.ledger.SetLabels(n.ID, n.Labels)
	return c.judge(n.ID)
}

// nodeRecord is the stored part of a node.
func (c *cluster) nodeRecord(id string) skalds.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.member(id).record
}

// hold and release keep the ledger like the store.
func (c *cluster) hold(t *skalds.Task, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Hold(t, now)
}

func (c *cluster) release(taskID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Release(taskID)
}

// entries and releaseEntries take off the ledger what the store does not have on a node: those of before it was read, as far
// as they have not been entered anew since.
func (c *cluster) entries(id string) map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.Entries(id)
}

// allEntries are those of every node.
func (c *cluster) allEntries() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.AllEntries()
}

func (c *cluster) releaseEntries(entries map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.ReleaseEntries(entries)
}

// place finds a node for a task and reserves its share there.
func (c *cluster) place(r *dispatch.Request, now time.Time) (dispatch.Verdict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.Place(r, now)
}

func (c *cluster) explain(r *dispatch.Request, now time.Time) (dispatch.Needs, []dispatch.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.NeedsOf(r, now), c.ledger.Explain(r, now)
}

// whyNot says why no node would take a task; empty: one would.
func (c *cluster) whyNot(r *dispatch.Request, now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.WhyNot(r, now)
}

// look asks the failure detector only whether it sees.
func (c *cluster) look(now time.Time) (blind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases.Look(now)
	return c.leases.Blind()
}

// check asks it who is lost.
func (c *cluster) check(now time.Time) (lost []string, blind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leases.Check(now), c.leases.Blind()
}

func (c *cluster) readable(ch monitor.Channel, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases.Readable(ch, now)
}

func (c *cluster) interrupted(ch monitor.Channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases.Interrupted(ch)
}

func (c *cluster) goodbye(id string, incarnation int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases.Goodbye(id, incarnation)
}

func (c *cluster) isAlive(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.nodes[id]; m != nil && m.original {
		return m.online
	}
	return c.leases.Alive(id)
}

// isHeard reports whether heartbeats come of a node, since it was lost or declared so if it was.
func (c *cluster) isHeard(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.nodes[id]
	return m != nil && m.online
}

// incarnation is the highest that is known of a node, by its hellos or its heartbeats.
func (c *cluster) incarnation(id string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.leases.Incarnation(id)
	if m := c.nodes[id]; m != nil {
		known = max(known, m.record.Incarnation)
	}
	return known
}

func (c *cluster) blind() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leases.Blind()
}

// boundTo is the only node that may run a task; empty: any. A task that stops with its node's lease is free again when
// that node is gone.
func (c *cluster) boundTo(t *skalds.Task) string {
	if t.BoundTo == "" || t.Mode == skalds.ModeActive || t.OnDisconnect == skalds.OnDisconnectKeep || c.isAlive(t.BoundTo) {
		return t.BoundTo
	}
	return ""
}

// expect counts a node that has tasks by the store, whatever its record says: should it stay silent, they are taken back.
func (c *cluster) expect(id string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.member(id).original {
		c.leases.Expect(id, now)
	}
}

// isOutdated reports whether a node lives under a later incarnation.
func (c *cluster) isOutdated(id string, incarnation int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return incarnation < c.leases.Incarnation(id) && c.leases.Alive(id)
}
