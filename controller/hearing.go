package controller

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the hearing.
const (
	maxHeard      = 10_000                 // tasks waiting to be read; the sweeps find what is beyond them
	nodesTogether = 500 * time.Millisecond // changes of nodes within it cost one reading
	nodesAtLeast  = 5 * time.Second        // a controller that does not lead reads them so often: an announcement may be lost
	nodesLeading  = 20 * time.Second       // one that leads does, which has not stored only what users have asked others for
)

// hearing takes what other controllers announce. Who leads carries out what follows from changes that the others stored; who
// does not keeps its picture of the nodes.
type hearing struct {
	id         string // of this controller
	tasks      *TaskService
	picture    *picture
	leadership *leadership
	log        hclog.Logger
	wake       chan struct{}

	mu    sync.Mutex // guards both
	heard map[string]bool
	nodes bool
}

func newHearing(id string, log hclog.Logger) *hearing {
	return &hearing{id: id, log: log, wake: make(chan struct{}, 1), heard: map[string]bool{}}
}

// change hears of an announced change; it does not wait.
func (h *hearing) change(c skalds.Change) {
	switch {
	case c.By == "" || c.By == h.id && c.Term != 0: // one that was stored while it did not lead, for a moment, nobody has followed
		return
	case c.Type == skalds.ChangeLeader:
		if c.Status == skalds.LeaderFree {
			h.leadership.freed()
		}
		return
	case c.Type == skalds.ChangeNode && c.Term != 0 && c.Status == skalds.NodeOffline && !h.leadership.decides():
		h.picture.cluster.leftTo(c.NodeID)
	}
	if c.Type == skalds.ChangeNode {
		h.missed()
		return
	}
	if c.Term != 0 || c.TaskID == "" || !h.leadership.decides() {
		return
	}
	h.mu.Lock()
	if len(h.heard) < maxHeard {
		h.heard[c.TaskID] = true
	}
	h.mu.Unlock()
	h.poke()
}

// missed hears that what is known of nodes may be old.
func (h *hearing) missed() {
	h.readNodes()
	h.poke()
}

// readNodes has the nodes read in the next round.
func (h *hearing) readNodes() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nodes = true
}

func (h *hearing) poke() {
	poke(h.wake)
}

// Run carries out what was heard until ctx ends.
func (h *hearing) Run(ctx context.Context) error {
	look := time.NewTicker(nodesAtLeast)
	defer look.Stop()
	read := h.tasks.clock.Elapsed()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		case <-look.C:
			if h.leadership.alone || h.leadership.decides() && h.tasks.clock.Elapsed()-read < nodesLeading {
				continue
			}
			h.readNodes()
		}
		h.mu.Lock()
		heard, nodes := h.heard, h.nodes
		h.heard, h.nodes = map[string]bool{}, false
		h.mu.Unlock()
		if nodes {
			read = h.tasks.clock.Elapsed()
			if !h.one(ctx, "what another controller stored about nodes", func(c context.Context) error { return h.picture.nodes(c, false) }) {
				h.readNodes()
			}
			h.tasks.dispatcher.freed()
		}
		for id := range heard {
			h.one(ctx, "a change that another controller stored", func(c context.Context) error { return h.tasks.heard(c, id) })
		}
		if nodes {
			rest(ctx, nodesTogether)
		}
	}
}

// one reports whether it could be done.
func (h *hearing) one(ctx context.Context, what string, do func(ctx context.Context) error) bool {
	c, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := do(c)
	if err != nil && ctx.Err() == nil {
		h.log.Debug("cannot read "+what+": a later look finds it", "err", err)
	}
	return err == nil
}
