package controller

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// How long loops may stand still. Their calls of services have deadlines of some seconds; a round of the dispatcher makes many.
const (
	watchStuckAfter    = 30 * time.Second
	dispatchStuckAfter = 2 * time.Minute
)

// Stuck names the loops of the controller that stand still and will not go on by themselves; empty: everything moves that runs. It
// does not return where one holds a lock for ever, which the caller has to take for an answer. Safe for concurrent use, before, during
// and after Run.
func (c *Controller) Stuck() string {
	_ = c.cluster.blind()
	_ = c.leader.waiting.len()
	var stuck []string
	for _, l := range []struct {
		name  string
		pulse *pulse
		limit time.Duration
	}{
		{"reading heartbeats", &c.watch.reading, watchStuckAfter},
		{"watching over nodes", &c.watch.judging, watchStuckAfter},
		{"the dispatcher", &c.leader.dispatcher.pulse, dispatchStuckAfter},
	} {
		if d := l.pulse.still(); d > l.limit {
			stuck = append(stuck, fmt.Sprintf("%s has stood still for %s", l.name, d.Round(time.Second)))
		}
	}
	return strings.Join(stuck, "; ")
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
