package controller

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/monitor"
)

// watchTick is how often the failure detector is asked.
const watchTick = 100 * time.Millisecond

// nodeWatch reads heartbeats on both channels and acts on what the failure detector says.
type nodeWatch struct {
	cfg     Config
	store   Store
	bus     Bus
	beats   HeartbeatStore
	cluster *cluster
	tasks   *TaskService
	outbox  *outbox
	clock   Clock
	log     hclog.Logger
	leads   func() bool
	// busHeard is called whenever the bus answers, at least every second.
	busHeard func()
	look     chan struct{} // read the heartbeat store now
	next     chan struct{} // a node has said hello: others may be asked

	reading, judging pulse

	mu       sync.Mutex // guards all below but wake
	wasBlind string
	gone     []lostNode // whose tasks are still to be taken back
	taken    []lostNode // whose tasks are being taken back
	wake     chan struct{}
}

type lostNode struct {
	id, why string
	at      int64 // ms since epoch
}

// Run observes until ctx ends, as every controller does.
func (w *nodeWatch) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { w.readStore(ctx) })
	wg.Go(func() { w.readBus(ctx) })
	defer wg.Wait()
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if !w.leads() {
				w.sayBlind(w.cluster.look(w.clock.Now()))
			}
		}
	}
}

// Judge declares nodes lost, asks for hellos and moves the tasks of draining nodes until ctx ends, as the leader does once it has applied what was reported before.
func (w *nodeWatch) Judge(ctx context.Context) error {
	w.mu.Lock()
	w.gone, w.taken = nil, nil // of an earlier term: what was not taken back then has a lease again
	w.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { w.clear(ctx) })
	moves := &drains{store: w.store, cluster: w.cluster, tasks: w.tasks, clock: w.clock, log: w.log.Named("drain")}
	wg.Go(func() { moves.Run(ctx) })
	defer wg.Wait()
	defer w.judging.end()
	w.askHellos(w.clock.Now()) // before anybody is judged: no node is given anything before its hello is answered
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.next:
			w.askHellos(w.clock.Now())
		case <-tick.C:
			w.judging.beat()
			w.judge()
		}
	}
}

// readStore reads the full heartbeats every period, and at once where something has changed.
func (w *nodeWatch) readStore(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Heartbeat)
	defer tick.Stop()
	defer w.reading.end()
	failing := false
	for {
		w.reading.beat()
		c, cancel := context.WithTimeout(ctx, w.cfg.Heartbeat)
		asked := w.clock.Now()
		beats, err := w.beats.Heartbeats(c)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !failing {
				failing = true
				w.log.Warn("cannot read heartbeats from the heartbeat store", "err", err)
			}
		} else {
			if failing {
				failing = false
				w.log.Info("the heartbeat store can be read again")
			}
			now := w.clock.Now()
			for i := range beats {
				w.heard(beats[i].NodeID, beats[i].Incarnation, beats[i].Seq, now)
			}
			w.cluster.observe(beats, now)
			for id, why := range w.cluster.oddLeases() {
				w.log.Warn("the lease of a node differs", "node_id", id, "problem", why)
			}
			w.cluster.readable(monitor.Store, asked)
			w.tasks.dispatcher.freed()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.look:
		}
	}
}

// readBus reads the short heartbeats as they come.
func (w *nodeWatch) readBus(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		err := w.bus.Heartbeats(ctx, func() {
			failing = false
			w.busHeard()
			w.cluster.readable(monitor.Bus, w.clock.Now())
		}, func(h skalds.ShortHeartbeat) {
			w.heard(h.NodeID, h.Incarnation, h.Seq, w.clock.Now())
		})
		if ctx.Err() != nil {
			return
		}
		w.cluster.interrupted(monitor.Bus)
		if !failing {
			failing = true
			w.log.Warn("cannot read heartbeats from the bus", "err", err)
		}
		rest(ctx, time.Second)
	}
}

// heard takes one heartbeat.
func (w *nodeWatch) heard(id string, incarnation, seq int64, now time.Time) {
	if id == "" {
		return
	}
	h, cameOnline := w.cluster.heard(id, incarnation, seq, now)
	if h.Twice != 0 {
		w.log.Error("two live hosts use one id: the one that came last is refused; start it under another id", "node_id", id, "incarnation", h.Twice)
		w.outbox.send(id, skalds.NodeMessage{Answer: &skalds.HelloAnswer{
			Incarnation: h.Twice, Part: 1, Parts: 1, Refused: "another live host uses the id " + id + ": start this one with another --node-id (SKALD_ID), or stop the other",
		}})
	}
	if cameOnline {
		w.log.Info("node is heard", "node_id", id, "incarnation", incarnation)
		if w.leads() {
			w.tasks.publishNode(id, skalds.NodeOnline)
		}
	}
	if h.First {
		w.lookNow() // the full heartbeat says where to ask for a hello
	}
}

// lookNow has the heartbeat store read at once.
func (w *nodeWatch) lookNow() {
	poke(w.look)
}

// judge acts on the failure detector's word, and asks for hellos.
func (w *nodeWatch) judge() {
	if !w.leads() {
		return // what would follow could not be stored
	}
	now := w.clock.Now()
	lost, blind := w.cluster.check(now)
	w.sayBlind(blind)
	for _, id := range lost {
		w.lost(id, "was not heard for longer than its lease")
	}
	w.askHellos(now)
}

func (w *nodeWatch) askHellos(now time.Time) {
	if !w.leads() {
		return
	}
	for _, id := range append(w.cluster.heirs(), w.cluster.wantsHello(now)...) {
		w.outbox.send(id, skalds.NodeMessage{AskHello: true})
	}
}

// greeted hears that a node has said hello.
func (w *nodeWatch) greeted() {
	poke(w.next)
}

// sayBlind says once why no node can be declared lost, and once that it can again.
func (w *nodeWatch) sayBlind(blind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case blind == w.wasBlind:
		return
	case blind != "":
		w.log.Warn("blind: no node is declared lost until heartbeats can be read", "reason", blind)
	default:
		w.log.Info("heartbeats can be read: nodes are watched")
	}
	w.wasBlind = blind
}

// lost declares a node lost. What follows in the store is done beside, so that a store that is away delays no judgement.
func (w *nodeWatch) lost(id, why string) {
	at := w.clock.Now().UnixMilli()
	w.cluster.silent(id, at)
	w.log.Warn("node is lost", "node_id", id, "reason", why)
	w.tasks.publishNode(id, skalds.NodeOffline)
	w.mu.Lock()
	w.gone = append(w.gone, lostNode{id, why, at})
	w.mu.Unlock()
	poke(w.wake)
}

// clear brings lost nodes into the store until ctx ends.
func (w *nodeWatch) clear(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		var lost []*skalds.Outcome
		for more := true; more && ctx.Err() == nil; {
			var some []*skalds.Outcome
			some, more = w.clearOnce(ctx, &failing)
			if lost = append(lost, some...); more {
				continue // others have been lost meanwhile: their tasks wait, records do not
			}
			w.tasks.recordLosses(ctx, lost)
			if lost, more = nil, failing; more {
				rest(ctx, time.Second)
			}
		}
	}
}

// clearOnce takes the tasks of lost nodes back to the queue, but for those that go on without a controller; more is true where
// others have been lost meanwhile. A node that is heard again before all of that is stored says hello, and the answer settles the
// rest.
func (w *nodeWatch) clearOnce(ctx context.Context, failing *bool) (lost []*skalds.Outcome, more bool) {
	w.mu.Lock()
	list := w.gone
	w.gone, w.taken = nil, list
	w.mu.Unlock()
	why, ids := map[string]string{}, []string(nil)
	for _, n := range list {
		if _, twice := why[n.id]; !twice && !w.cluster.isAlive(n.id) {
			ids = append(ids, n.id)
		}
		why[n.id] = n.why
	}
	saved := map[string]error{}
	var wg sync.WaitGroup
	wg.Go(func() { saved = w.saveLost(ctx, list) })
	got, lost := w.tasks.takeBack(ctx, ids, func(t *skalds.Task, now int64) bool {
		return !w.cluster.isAlive(t.Executor) && nodeLost(t, why[t.Executor], now)
	})
	for _, id := range ids {
		got[id].tell(w.log, id, why[id])
	}
	wg.Wait()
	var left []lostNode
	for _, n := range list {
		err := errors.Join(saved[n.id], got[n.id].err)
		if err == nil {
			continue
		}
		if !*failing && len(left) == 0 && ctx.Err() == nil {
			w.log.Error("cannot take back the tasks of a lost node: tried again until it works", "node_id", n.id, "err", err)
		}
		left = append(left, n)
	}
	*failing = len(left) > 0
	w.mu.Lock()
	defer w.mu.Unlock()
	more = len(w.gone) > 0
	w.gone, w.taken = append(left, w.gone...), nil
	return lost, more
}

// takesBack reports whether the tasks of a lost node are still to be taken back, or are just being.
func (w *nodeWatch) takesBack(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	is := func(n lostNode) bool { return n.id == id }
	return slices.ContainsFunc(w.gone, is) || slices.ContainsFunc(w.taken, is)
}

// saveLost stores which nodes are lost, but for those that have come back meanwhile, one at a time as all records of nodes are
// stored. Where the store does not answer, what is left is not tried.
func (w *nodeWatch) saveLost(ctx context.Context, list []lostNode) map[string]error {
	failed := map[string]error{}
	var away error
	for _, lost := range list {
		if w.cluster.isAlive(lost.id) {
			continue
		}
		err := away
		if err == nil {
			c, cancel := context.WithTimeout(ctx, storeTimeout)
			_, err = w.tasks.picture.saveNode(c, w.store, lost.id, func(n *skalds.Node) {
				if !w.cluster.isAlive(lost.id) {
					n.LostAt, n.LostBy = lost.at, ""
				}
			})
			cancel()
		}
		if err != nil {
			failed[lost.id] = err
		}
		if isAway(err) || ctx.Err() != nil {
			away = err
		}
	}
	return failed
}
