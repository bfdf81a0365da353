package monitor

import (
	"errors"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// Channel is a way on which heartbeats come.
type Channel int

// The channels.
const (
	Store Channel = iota // the full heartbeats in the heartbeat store
	Bus                  // the short ones on the bus
	channels
)

func (c Channel) String() string { return [...]string{"heartbeat store", "bus"}[c] }

// Config of the failure detector.
type Config struct {
	// Lease is how long a node lives after a heartbeat that got through; default 6s.
	Lease time.Duration `yaml:"lease"`
	// Drift is what clocks may differ in the length of a lease, and delays beside; default 1 % of Lease + 200ms.
	Drift time.Duration `yaml:"drift"`
	// Silence is how long a channel may go without a successful reading before the controller is blind; default 2.5s.
	Silence time.Duration `yaml:"silence"`
}

// DefaultConfig has a lease of 6 seconds.
func DefaultConfig() Config { return ForLease(6 * time.Second) }

// ForLease derives the other figures from a lease.
func ForLease(lease time.Duration) Config {
	return Config{Lease: lease, Drift: lease/100 + 200*time.Millisecond, Silence: 2500 * time.Millisecond}
}

// Validate names every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.Lease < time.Second {
		errs = append(errs, skalds.Field("lease", "must be one second or more"))
	}
	if c.Drift < 0 {
		errs = append(errs, skalds.Field("drift", "must not be negative"))
	}
	if c.Silence <= 0 {
		errs = append(errs, skalds.Field("silence", "must be above zero"))
	}
	return errors.Join(errs...)
}

// Leases is the failure detector. A node is lost when nothing new was heard of it, on either channel, for lease + drift,
// counted only while this controller was running and read both channels to their ends, and up to the last such reading.
// Otherwise the controller is blind: it declares nobody lost, and starts counting anew when it sees again. It is not safe
// for concurrent use.
type Leases struct {
	cfg     Config
	nodes   map[string]*lease
	read    [channels]time.Time // the last successful reading
	begun   time.Time           // the first Check
	checked time.Time           // the last Check
	since   time.Time           // counting began
	known   time.Time           // at the last Look: up to when every heartbeat has been heard; zero: counting rests
	blind   string
	seen    bool // both channels were read once
}

type lease struct {
	last    mark             // newest (incarnation, seq) heard
	heardAt time.Time        // when it was
	others  map[int64]*other // incarnations beside the present one
	ended   int64            // an incarnation that has said goodbye: its heartbeats mean nothing
	heir    int64            // an incarnation whose hello was answered before it was heard: it takes over with its first heartbeat
	gone    int64            // an incarnation whose host is said to be dead: late heartbeats of it mean nothing
	late    int              // how many have come since
	waking  bool             // its host is said to be silent: what is heard next is of one that has woken up
	lost    bool
	silent  bool // said goodbye, or never heard of and not watched
}

// other is an incarnation beside the present one: a former one, whose last heartbeats may still arrive and lie in the
// heartbeat store for a while, or a second live host under the same id.
type other struct {
	seq      int64
	former   bool // it was the present one before
	at       time.Time
	advanced int // how often, while the present one was heard too
}

// Bounds of what is remembered of other incarnations.
const (
	maxOthers   = 8
	twiceProven = 3 // late words of a former incarnation do not go on and on
)

// succession is for how long a present incarnation must be silent before another takes its place: two heartbeats.
const succession = 2 * time.Second

type mark struct{ incarnation, seq int64 }

// NewLeases starts blind: it counts from the first moment at which both channels were read.
func NewLeases(cfg Config) *Leases {
	return &Leases{cfg: cfg, nodes: map[string]*lease{}, blind: "heartbeats have not been read yet"}
}

// Watch counts a node from now on that the store knows, heard of or not.
func (l *Leases) Watch(nodeID string, now time.Time) {
	if l.nodes[nodeID] == nil {
		l.nodes[nodeID] = &lease{heardAt: now}
	}
}

// Expect counts a node from now on that has tasks by the store, though it was lost or has said goodbye: what was not taken back from
// it then is taken back when it stays silent.
func (l *Leases) Expect(nodeID string, now time.Time) {
	n := l.nodes[nodeID]
	if n == nil {
		l.Watch(nodeID, now)
	} else if n.lost || n.silent {
		n.lost, n.silent, n.heardAt = false, false, now
	}
}

// Left says that a node is not there any more: it is not counted, and heartbeats that were heard before mean nothing.
func (l *Leases) Left(nodeID string) {
	if n := l.nodes[nodeID]; n != nil {
		n.silent = true
	}
}

// Greeted counts a node anew whose hello is answered now: what the answer tells it to run must not be handed elsewhere
// because its heartbeats come later than its hello. One that is lost stays so until it is heard.
func (l *Leases) Greeted(nodeID string, incarnation int64, now time.Time) {
	n := l.nodes[nodeID]
	switch {
	case n == nil:
		l.nodes[nodeID] = &lease{heardAt: now}
	case incarnation < n.last.incarnation:
		return
	case !n.lost && !n.silent:
		n.heardAt = now
	}
	if n = l.nodes[nodeID]; incarnation > n.last.incarnation {
		n.heir = incarnation
	}
}

// Succeeds reports whether an incarnation may take the place of the one that is heard: that has ended, is dead or lost, or has been
// silent for as long as no living one is. Before that, the two may be two live hosts under one id. known is the incarnation that a node
// had that is watched and was not heard yet; 0: none.
func (l *Leases) Succeeds(nodeID string, incarnation, known int64) bool {
	n := l.nodes[nodeID]
	if n == nil {
		return true
	}
	return incarnation <= max(n.last.incarnation, known) || n.last.incarnation == 0 && known == 0 || l.vacant(n, incarnation)
}

// Contended reports whether a higher incarnation was heard beside the present one just now: after a restart of which nothing is known
// yet, or of a second host under the same id.
func (l *Leases) Contended(nodeID string) bool {
	n := l.nodes[nodeID]
	if n == nil {
		return false
	}
	for incarnation, o := range n.others {
		if incarnation > n.last.incarnation && n.heardAt.Sub(o.at) < succession {
			return true
		}
	}
	return false
}

// vacant reports whether the place of the present incarnation of a node is free for another one. Silence counts only as far as the bus
// was read, on which both would be heard: in the heartbeat store the one may hide the other.
func (l *Leases) vacant(n *lease, by int64) bool {
	if n.lost || n.silent || by > n.last.incarnation && n.gone != 0 && n.gone == n.last.incarnation {
		return true
	}
	return l.read[Bus].Sub(n.heardAt) > succession
}

// Forget takes a node out.
func (l *Leases) Forget(nodeID string) { delete(l.nodes, nodeID) }

// Goodbye says that an incarnation has ended in good order: it is not lost, and late heartbeats of it mean nothing.
func (l *Leases) Goodbye(nodeID string, incarnation int64) {
	n := l.nodes[nodeID]
	if n == nil {
		n = &lease{}
		l.nodes[nodeID] = n
	}
	if n.ended = incarnation; incarnation >= n.last.incarnation {
		n.silent = true
	}
}

// Gone says that the host of an incarnation has died, or is silent and may wake up. The lease runs on: when it ends, the
// node is lost with what was not named as dead. A dead host is not heard any more, but for what was under way.
func (l *Leases) Gone(nodeID string, incarnation int64, silent bool, now time.Time) {
	n := l.nodes[nodeID]
	if n == nil {
		n = &lease{heardAt: now}
		l.nodes[nodeID] = n
	}
	if incarnation > n.last.incarnation { // none of its heartbeats has come
		n.beside(n.last, true, now)
		n.last, n.heardAt, n.lost, n.silent, n.gone = mark{incarnation, 0}, now, false, false, 0
	}
	switch {
	case silent:
		n.waking = true
	case n.gone != incarnation:
		n.gone, n.late = incarnation, 0
	}
}

// Hearing is what a heartbeat tells.
type Hearing struct {
	News bool // it was new: the node lives
	// First: it lives for the first time, again after having been lost or gone, or under a new incarnation. It must say
	// hello before it gets anything.
	First bool
	// Twice: two live hosts use this id; the one that came later has this incarnation.
	Twice int64
}

// Heard takes one heartbeat.
func (l *Leases) Heard(nodeID string, incarnation, seq int64, now time.Time) Hearing {
	n := l.nodes[nodeID]
	if n == nil {
		n = &lease{silent: true}
		l.nodes[nodeID] = n
	}
	if incarnation == n.ended && n.ended != 0 {
		return Hearing{}
	}
	m := mark{incarnation, seq}
	if incarnation == n.gone && n.gone != 0 && incarnation == n.last.incarnation {
		if seq <= n.last.seq {
			return Hearing{}
		}
		n.last.seq = seq
		if n.late++; n.late < twiceProven {
			return Hearing{}
		}
		return n.live(m, now, true) // it goes on: it lives, whatever was said
	}
	o := n.others[incarnation]
	switch {
	case incarnation == n.last.incarnation:
		if seq <= n.last.seq {
			return Hearing{}
		}
		return n.live(m, now, false)
	case incarnation > n.last.incarnation && (incarnation == n.heir || n.last.incarnation == 0 || o == nil && l.vacant(n, incarnation)): // a host counts its starts
		n.beside(n.last, true, now)
		delete(n.others, incarnation)
		return n.live(m, now, true)
	case o == nil: // old, of a host that has lost its folder, or a second one beside that which is heard: if it lives, it goes on
		n.beside(m, false, now)
		return Hearing{}
	case seq <= o.seq:
		return Hearing{}
	}
	both := !n.heardAt.Before(o.at) // the present one has gone on since this one did
	o.seq, o.at = seq, now
	if !l.vacant(n, incarnation) {
		if both {
			o.advanced++
		}
		if o.advanced < twiceProven {
			return Hearing{}
		}
		o.advanced = 0
		if o.former {
			return Hearing{Twice: n.last.incarnation}
		}
		return Hearing{Twice: incarnation}
	}
	delete(n.others, incarnation)
	n.beside(n.last, true, now)
	return n.live(m, now, true)
}

// live makes m the newest that was heard.
func (n *lease) live(m mark, now time.Time, other bool) Hearing {
	h := Hearing{News: true, First: other || n.lost || n.silent || n.waking}
	n.last, n.heardAt, n.lost, n.silent, n.waking, n.gone, n.late, n.heir = m, now, false, false, false, 0, 0, 0
	return h
}

// beside remembers an incarnation that is not the present one.
func (n *lease) beside(m mark, former bool, now time.Time) {
	if m.incarnation == 0 {
		return
	}
	if n.others == nil {
		n.others = map[int64]*other{}
	}
	if len(n.others) >= maxOthers {
		oldest := int64(0)
		for id, o := range n.others {
			if oldest == 0 || o.at.Before(n.others[oldest].at) {
				oldest = id
			}
		}
		delete(n.others, oldest)
	}
	n.others[m.incarnation] = &other{seq: m.seq, former: former, at: now}
}

// Readable notes that a channel was read to its end: everything that was there at that time has been heard.
func (l *Leases) Readable(c Channel, at time.Time) { l.read[c] = at }

// Interrupted says that a channel was not read for a while and that what came on it meanwhile will not be heard any more.
// The heartbeat store holds the last heartbeat, the bus does not.
func (l *Leases) Interrupted(c Channel) { l.read[c] = time.Time{} }

// Blind says why this controller declares nobody lost; empty: it sees, or has begun less than Silence ago.
func (l *Leases) Blind() string {
	if !l.seen && l.checked.Sub(l.begun) <= l.cfg.Silence {
		return ""
	}
	return l.blind
}

// Look settles whether this controller sees, as one that does not decide has to, too: it counts on when it begins to. It returns up
// to when every heartbeat has been heard; counts is false where counting rests or begins anew.
func (l *Leases) Look(now time.Time) (heard time.Time, counts bool) {
	was := l.blind
	l.blind, l.known = "", time.Time{}
	known := now // up to when every heartbeat has been heard
	for c := Store; c < channels; c++ {
		if l.read[c].Before(known) {
			known = l.read[c]
		}
		if l.read[c].IsZero() {
			l.blind = "the " + c.String() + " is not read yet"
		} else if now.Sub(l.read[c]) > l.cfg.Silence {
			l.blind = "the " + c.String() + " cannot be read"
		}
	}
	stood := !l.checked.IsZero() && now.Sub(l.checked) > l.cfg.Silence // this program itself stood still
	l.checked = now
	if l.begun.IsZero() {
		l.begun = now
	}
	if l.blind != "" {
		return known, false
	}
	l.seen = true
	if was != "" || stood {
		l.since = now
		return known, false
	}
	l.known = known
	return known, true
}

// Check names the nodes that are lost by now, each once.
func (l *Leases) Check(now time.Time) (lost []string) {
	if _, counts := l.Look(now); !counts {
		return nil
	}
	for id, n := range l.nodes {
		if !n.lost && l.overdue(n) {
			n.lost = true
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	return lost
}

// overdue reports whether a node was not heard for its lease and what is added to it.
func (l *Leases) overdue(n *lease) bool {
	if n.silent || l.known.IsZero() {
		return false
	}
	from := n.heardAt
	for incarnation, o := range n.others { // one that waits for its place lives, too: it runs nothing yet, and is no lost node
		if incarnation > n.last.incarnation && o.at.After(from) {
			from = o.at
		}
	}
	if l.since.After(from) {
		from = l.since
	}
	return l.known.Sub(from) > l.cfg.Lease+l.cfg.Drift
}

// Overdue reports whether a node, at the last Look, was not heard for as long as makes it lost: what a controller can say that declares
// nobody. It is false where this one is blind.
func (l *Leases) Overdue(nodeID string) bool {
	n := l.nodes[nodeID]
	return n != nil && l.overdue(n)
}

// Alive reports whether a node has been heard and is not lost.
func (l *Leases) Alive(nodeID string) bool {
	n := l.nodes[nodeID]
	return n != nil && !n.lost && !n.silent && n.last.incarnation != 0
}

// Incarnation is the newest one heard of; 0: none.
func (l *Leases) Incarnation(nodeID string) int64 {
	if n := l.nodes[nodeID]; n != nil {
		return n.last.incarnation
	}
	return 0
}
