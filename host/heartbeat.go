package host

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// changeDelay is how long a heartbeat after a change waits for further changes.
const changeDelay = 150 * time.Millisecond

// heartbeats says every period on both channels how this node is, watches over its lease, and notices when another live
// host uses its id.
type heartbeats struct {
	cfg         Config
	nodeID      string
	incarnation int64
	bus         Bus
	beats       HeartbeatStore
	roster      *roster
	catalog     *plugins.Catalog
	sampler     *procstats.Sampler
	enforcement func() skalds.Enforcement
	isolation   skalds.NodeAbilities
	room        *memoryRoom
	trouble     func() []skalds.NodeProblem // of the workers file
	partition   func() int32
	holdLease   func(until time.Duration) // somebody else kills then what we have not killed, see leaseGrace
	expired     func()                    // the lease is over: kill what others may run
	regained    func()                    // say hello
	duplicate   func(err error)
	log         hclog.Logger

	kick  chan struct{}
	pulse pulse // of Run

	mu    sync.Mutex // guards lease
	lease lease

	// Below belongs to Run.
	seq       int64
	since     time.Time
	foreign   [2]int64 // (incarnation, seq) of another host under this id, as seen last
	redisFail bool
	busFail   bool
}

// changed asks for a heartbeat soon.
func (h *heartbeats) changed() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// attach starts the lease.
func (h *heartbeats) attach() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease.attach(bootTime())
	h.hold()
}

// wasAttached reports whether a controller has ever answered.
func (h *heartbeats) wasAttached() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease.attached
}

// hold passes the lease on. The mutex is held.
func (h *heartbeats) hold() {
	if h.lease.attached && h.holdLease != nil {
		h.holdLease(h.lease.deadline() + leaseGrace)
	}
}

// holds reports whether dispatched tasks may be started.
func (h *heartbeats) holds() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease.holds(bootTime())
}

// Run beats until ctx ends.
func (h *heartbeats) Run(ctx context.Context) error {
	if h.bus == nil && h.beats == nil {
		<-ctx.Done()
		return nil
	}
	h.since = time.Now()
	var wg sync.WaitGroup
	wg.Go(func() { h.watchLease(ctx) })
	defer wg.Wait()
	defer h.pulse.end()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		case <-h.kick:
			select { // a burst of changes is one heartbeat
			case <-ctx.Done():
				return nil
			case <-time.After(changeDelay):
			}
			select {
			case <-h.kick:
			default:
			}
		}
		next.Reset(h.cfg.Heartbeat)
		h.pulse.beat()
		h.beat(ctx)
	}
}

// watchLease looks at the lease often: a timer stands still while the machine sleeps, the clock that it reads does not.
func (h *heartbeats) watchLease(ctx context.Context) {
	t := time.NewTicker(min(h.cfg.Heartbeat/5, 200*time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		h.lapsed()
	}
}

// lapsed does once what a lost lease demands.
func (h *heartbeats) lapsed() {
	h.mu.Lock()
	event := h.lease.check(bootTime())
	h.mu.Unlock()
	if event == leaseExpired {
		h.log.Error("the lease is lost: no heartbeat got through; tasks that another node may run are killed now", "reason", skalds.ErrLeaseLost)
		h.expired()
	}
}

// beat sends one heartbeat on both channels, side by side.
func (h *heartbeats) beat(ctx context.Context) {
	hb := h.compose(ctx)
	sentAt := bootTime()
	var wg sync.WaitGroup
	if h.bus != nil {
		wg.Go(func() {
			c, cancel := context.WithTimeout(ctx, beatTimeout)
			defer cancel()
			err := h.bus.Heartbeat(c, skalds.ShortHeartbeat{NodeID: hb.NodeID, Incarnation: hb.Incarnation, Seq: hb.Seq})
			h.outcome(ctx, "bus", err, &h.busFail, sentAt)
		})
	}
	if h.beats != nil {
		wg.Go(func() {
			h.lookForDuplicate(ctx)
			c, cancel := context.WithTimeout(ctx, beatTimeout)
			defer cancel()
			h.outcome(ctx, "heartbeat store", h.beats.Beat(c, hb, h.cfg.HeartbeatTTL), &h.redisFail, sentAt)
		})
	}
	wg.Wait()
}

// outcome counts an acknowledged heartbeat, and says once that a channel fails and once that it is back.
func (h *heartbeats) outcome(ctx context.Context, channel string, err error, failing *bool, sentAt time.Duration) {
	if err != nil {
		if ctx.Err() == nil && !*failing && !settingUp(err, h.since) {
			h.log.Warn("a heartbeat did not get through", "channel", channel, "err", err)
			*failing = true
		}
		return
	}
	if *failing {
		h.log.Info("heartbeats get through again", "channel", channel)
		*failing = false
	}
	h.lapsed() // after a sleep of the machine this heartbeat may be faster than the look at the lease
	h.mu.Lock()
	event := h.lease.acknowledge(sentAt)
	h.hold()
	h.mu.Unlock()
	if event == leaseRegained {
		h.log.Info("the lease is regained")
		h.regained()
	}
}

// compose puts the heartbeat together.
func (h *heartbeats) compose(ctx context.Context) skalds.Heartbeat {
	h.seq++
	hostname, _ := os.Hostname()
	hb := skalds.Heartbeat{
		NodeID: h.nodeID, Incarnation: h.incarnation, Seq: h.seq, At: time.Now().UnixMilli(), Mode: h.cfg.mode(),
		Program: h.cfg.Program, Hostname: hostname, PID: os.Getpid(), LeaseMillis: h.cfg.Lease.Milliseconds(), Partition: h.partition(),
		Enforcement: h.enforcement(), Isolation: h.isolation, Labels: h.cfg.Labels,
	}
	var ours skalds.Usage
	for _, t := range h.roster.all() {
		v := t.seen()
		s := v.instance()
		hb.Instances = append(hb.Instances, s)
		hb.Reserved = hb.Reserved.Add(v.reserved)
		ours.CPUCores += s.Usage.CPUCores
		ours.MemoryBytes += s.Usage.MemoryBytes
	}
	for _, w := range h.catalog.Workers() {
		hb.Workers = append(hb.Workers, w.Ref())
		for _, c := range w.Classes {
			hb.Classes = append(hb.Classes, c.ClassName)
		}
	}
	hb.Classes = sortedUnique(hb.Classes)
	hb.Problems = h.problems()
	m, err := h.sampler.Machine(ctx)
	if err != nil {
		h.log.Debug("cannot measure the machine", "err", err)
		return hb
	}
	machine := skalds.Usage{CPUCores: m.UsedCPUCores, MemoryBytes: m.UsedMemoryBytes}
	hb.Capacity, hb.Used, hb.Foreign = shareOut(h.cfg.CapacityShare, skalds.Capacity{CPUCores: float64(m.CPUCores), MemoryBytes: m.MemoryBytes}, machine, ours)
	h.room.observe(hb.Capacity, hb.Foreign)
	return hb
}

// Bounds of the problems in a heartbeat: it comes every second.
const (
	maxProblems    = 50
	maxProblemText = 500
)

// problems lists the files of this node that cannot be used.
func (h *heartbeats) problems() []skalds.NodeProblem {
	all := h.trouble()
	for _, p := range h.catalog.Problems() {
		all = append(all, skalds.NodeProblem{Path: p.Path, Reason: p.Reason})
	}
	return boundProblems(all)
}

func boundProblems(all []skalds.NodeProblem) []skalds.NodeProblem {
	if over := len(all) - maxProblems; over > 0 {
		all = append(all[:maxProblems-1:maxProblems-1], skalds.NodeProblem{Path: "…", Reason: fmt.Sprintf("and %d more, which the log of this node names", over+1)})
	}
	for i := range all {
		if len(all[i].Reason) > maxProblemText {
			all[i].Reason = strings.ToValidUTF8(all[i].Reason[:maxProblemText], "") + "…"
		}
	}
	return all
}

// shareOut is a node's part of its machine: what it has, what is used of it, and what others use of that.
func shareOut(share float64, machine skalds.Capacity, used, ours skalds.Usage) (capacity skalds.Capacity, all, foreign skalds.Usage) {
	rest := skalds.Usage{
		CPUCores:    max(used.CPUCores-ours.CPUCores, 0),
		MemoryBytes: max(used.MemoryBytes-ours.MemoryBytes, 0),
	}
	if share >= 1 {
		return machine, used.Max(ours), rest
	}
	capacity = skalds.Capacity{CPUCores: machine.CPUCores * share, MemoryBytes: int64(float64(machine.MemoryBytes) * share)}
	foreign = skalds.Usage{CPUCores: rest.CPUCores * share, MemoryBytes: int64(float64(rest.MemoryBytes) * share)}
	return capacity, skalds.Usage{CPUCores: ours.CPUCores + foreign.CPUCores, MemoryBytes: ours.MemoryBytes + foreign.MemoryBytes}, foreign
}
