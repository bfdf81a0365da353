package plugins

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

const (
	softShare     = 0.8             // of the limit: a worker that can is asked to give memory up
	askAgain      = 5 * time.Second // while that has not helped; and how long an answer may take
	keptPressures = 10              // for the exit report

	// stallShare is the part of the last ten seconds, in percent, for which the kernel made somebody in the control group wait
	// for memory (PSI, "some avg10"): the task is short of it, how much of its limit it may hold.
	stallShare = 10.0
)

// relief is when a worker is asked to give memory up, and what came of it.
type relief struct {
	mu        sync.Mutex // guards what follows
	above     bool       // it was asked, and has not fallen below nearShare since
	asked     time.Time
	asking    bool // a call is under way
	deaf      bool // the task's class has no hook for it
	pressures []skalds.Pressure
}

// due reports whether to ask now that the tree holds a share of its limit, or waits for memory. Who was asked must come to an
// end of it with answered.
func (r *relief) due(share float64, stalls bool, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if share < nearShare {
		r.above = false
	}
	if share < softShare && !stalls || r.deaf || r.asking || (r.above || stalls) && now.Sub(r.asked) < askAgain {
		return false
	}
	r.above, r.asked, r.asking = share >= softShare, now, true
	return true
}

// answered keeps what came of a call; nil: nothing worth telling.
func (r *relief) answered(p *skalds.Pressure, deaf bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking, r.deaf = false, r.deaf || deaf
	if p == nil {
		return
	}
	if len(r.pressures) == keptPressures {
		r.pressures = slices.Delete(r.pressures, 0, 1)
	}
	r.pressures = append(r.pressures, *p)
}

// Pressures lists the last ten times that the worker was asked to give memory up, oldest first.
func (i *Instance) Pressures() []skalds.Pressure {
	i.relief.mu.Lock()
	defer i.relief.mu.Unlock()
	return slices.Clone(i.relief.pressures)
}

// canRelieve reports whether it is of use to ask: a tree that is frozen, or has not shaken hands, cannot answer, and a plugin
// of which no class has the hook would not know what to say.
func (i *Instance) canRelieve() bool {
	return i.Worker() != nil && !i.isFrozen() && slices.ContainsFunc(i.spec.Plugin.Info.Classes, func(c skalds.ClassInfo) bool {
		return slices.Contains(c.Capabilities, protocol.CapabilityPressure)
	})
}

// lookForStalls asks a worker for memory whose tree the kernel keeps waiting for some, though it may be far from its limit by
// what counts there: its pages of files and of programs are read again and again.
func (i *Instance) lookForStalls(ctx context.Context, limit int64) {
	if !i.canRelieve() {
		return
	}
	percent, ok := i.group.Pressure()
	if !ok || percent < stallShare {
		return
	}
	i.sampling.Lock()
	charged := i.charged()
	i.sampling.Unlock()
	if i.relief.due(float64(charged)/float64(limit), true, time.Now()) {
		go i.relieve(ctx, charged, limit, percent)
	}
}

// leastAsked is the part of the limit that a worker is asked for at least.
const leastAsked = 0.1

// relieve asks the worker for what its tree holds above nearShare: less would leave it where it is asked again. Then it
// measures, because a worker knows what it let go of and not what the system got back.
func (i *Instance) relieve(ctx context.Context, charged, limit int64, stallPercent float64) {
	p := skalds.Pressure{
		At: time.Now().UnixMilli(), Level: protocol.PressureSoft.String(), StallPercent: stallPercent,
		Bytes: max(charged-int64(nearShare*float64(limit)), int64(leastAsked*float64(limit))),
	}
	ctx, cancel := context.WithTimeout(ctx, askAgain)
	defer cancel()
	pardoned := i.duty.excuse()
	said, err := i.Worker().Pressure(ctx, protocol.PressureSoft, p.Bytes)
	pardoned()
	if errors.Is(err, protocol.ErrUnsupported) { // another class of the plugin has the hook
		i.relief.answered(nil, true)
		return
	}
	i.sampling.Lock()
	left := i.charged()
	i.sampling.Unlock()
	if i.process().reaped.Load() {
		i.relief.answered(nil, false) // what a dead tree holds says nothing
		return
	}
	p.SaidBytes, p.ShrankBytes = said, charged-left
	p.Helped = float64(left) < softShare*float64(limit) && (stallPercent == 0 || left < charged)
	i.relief.answered(&p, false)
	log := i.l.log.With("task_id", i.spec.TaskID, "asked_bytes", p.Bytes, "said_bytes", p.SaidBytes, "shrank_bytes", p.ShrankBytes, "helped", p.Helped)
	if err != nil {
		log.Warn("worker was asked to give memory up, and failed", "err", err)
		return
	}
	log.Info("worker was asked to give memory up")
}
