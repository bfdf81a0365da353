package host

import (
	"fmt"
	"sync/atomic"
	"time"
)

// stuckAfter is how long the heartbeat may stand still, which a bus or a store that does not answer holds up for some seconds
// only. Longer ago, it never goes on.
const stuckAfter = 30 * time.Second

// Standing is how a host is doing, for whoever looks after its process.
type Standing struct {
	Up    bool   // it can run tasks: it works alone, or the bus has its hello
	Text  string // one line for people
	Stuck string // what stands still and will not go on by itself; empty: everything moves
}

// Standing looks at every part that may hang. It does not return where one holds a lock for ever, which the caller has to take
// for an answer. Safe for concurrent use, before, during and after Run.
func (h *Host) Standing() Standing {
	s := h.session.Load()
	if s == nil {
		return Standing{Text: "starting"}
	}
	tasks := s.roster.all()
	for _, t := range tasks {
		_ = t.seen()
	}
	out := Standing{Text: fmt.Sprintf("node %s, tasks: %d", s.id.NodeID, len(tasks))}
	select {
	case <-s.started:
	default:
		out.Text = "starting"
		return out
	}
	switch {
	case s.node == nil:
		out.Up = true
		out.Text += ", works alone"
	case s.node.hasSaidHello():
		out.Up = true
		if !s.node.isAnswered() {
			out.Text += ", waits for a controller"
		}
	default:
		out.Up = s.edge != nil
		out.Text += ", waits for the bus"
	}
	if d := s.beats.pulse.still(); d > stuckAfter {
		out.Stuck = fmt.Sprintf("the heartbeat has stood still for %s", d.Round(time.Second))
	}
	return out
}

// hasSaidHello reports whether the bus has a hello of this host.
func (n *nodeSource) hasSaidHello() bool {
	n.mu.Lock()
	said := n.ready && n.said > 0
	n.mu.Unlock()
	return said && !n.reporter.helloWaits()
}

func (n *nodeSource) isAnswered() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.answered
}

// pulse is when a loop last turned, by a clock that stands still while the machine sleeps. The zero pulse is that of a loop that
// does not run.
type pulse struct{ at atomic.Pointer[time.Time] }

func (p *pulse) beat() { now := time.Now(); p.at.Store(&now) }
func (p *pulse) end()  { p.at.Store(nil) }

// still is how long ago the last turn was; 0 where the loop does not run.
func (p *pulse) still() time.Duration {
	at := p.at.Load()
	if at == nil {
		return 0
	}
	return time.Since(*at)
}
