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
// counted only while this controller was running and read both channels to their ends. Otherwise the controller is blind:
// it declares nobody lost, and starts counting anew when it sees again. It is not safe for concurrent use.
type Leases struct {
	cfg     Config
	nodes   map[string]*lease
	read    [channels]time.Time // the last successful reading
	checked time.Time           // the last Check
	since   time.Time           // counting began
	blind   string
}

type lease struct {
	last    mark      // newest (incarnation, seq) heard
	before  mark      // of the incarnation before, to tell two live hosts under one id
	again   int       // how often the former incarnation has advanced after the present one had appeared
	heardAt time.Time // when it was
	ended   int64     // an incarnation that has said goodbye: its heartbeats mean nothing
	lost    bool
	silent  bool // said goodbye, or never heard of and not watched
}

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

// Forget takes a node out.
func (l *Leases) Forget(nodeID string) { delete(l.nodes, nodeID) }

// Goodbye says that an incarnation has ended in good order: it is not lost, and late heartbeats of it mean nothing.
func (l *Leases) Goodbye(nodeID string, incarnation int64) {
	n := l.nodes[nodeID]
	if n == nil {
		n = &lease{}
		l.nodes[nodeID] = n
	}
	n.ended, n.silent = incarnation, true
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
	switch {
	case m.incarnation == n.last.incarnation:
		if m.seq <= n.last.seq {
			return Hearing{}
		}
	case m.incarnation == n.before.incarnation:
		// The former incarnation: what was under way when it ended may still arrive, but it does not go on and on.
		if m.seq <= n.before.seq {
			return Hearing{}
		}
		n.before = m
		if n.again++; n.again >= 3 {
			n.again = 0
			return Hearing{Twice: n.last.incarnation}
		}
		return Hearing{}
	default:
		n.before, n.again = n.last, 0
		h := Hearing{News: true, First: true}
		n.last, n.heardAt, n.lost, n.silent = m, now, false, false
		return h
	}
	h := Hearing{News: true, First: n.lost || n.silent || n.last.incarnation == 0}
	n.last, n.heardAt, n.lost, n.silent = m, now, false, false
	return h
}

// Readable notes that a channel was read to its end.
func (l *Leases) Readable(c Channel, now time.Time) { l.read[c] = now }

// Blind says why this controller declares nobody lost; empty: it sees.
func (l *Leases) Blind() string { return l.blind }

// Check names the nodes that are lost by now, each once.
func (l *Leases) Check(now time.Time) (lost []string) {
	was := l.blind
	l.blind = ""
	for c := Store; c < channels; c++ {
		if l.read[c].IsZero() {
			l.blind = "the " + c.String() + " has not been read yet"
		} else if now.Sub(l.read[c]) > l.cfg.Silence {
			l.blind = "the " + c.String() + " cannot be read"
		}
	}
	stood := !l.checked.IsZero() && now.Sub(l.checked) > l.cfg.Silence // this program itself stood still
	l.checked = now
	if l.blind != "" {
		return nil
	}
	if was != "" || stood {
		l.since = now
		return nil
	}
	for id, n := range l.nodes {
		if n.lost || n.silent {
			continue
		}
		from := n.heardAt
		if l.since.After(from) {
			from = l.since
		}
		if now.Sub(from) > l.cfg.Lease+l.cfg.Drift {
			n.lost = true
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	return lost
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
