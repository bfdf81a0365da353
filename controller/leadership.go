package controller

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the leadership. A leader that is killed is replaced within Config.LeaderLease and a look or two; one that cannot
// renew stops deciding after two thirds of it, while others wait for the whole: the last third is for what it has under way.
const (
	renewEvery    = 500 * time.Millisecond
	leaderLook    = 100 * time.Millisecond // how often those who wait look, and a renewal that failed is tried again
	leaderTimeout = time.Second            // of one question to the store
	// Without the bus nobody hands anything out. Who does not hear it does not take the lease, and who leads and has not heard it for
	// long gives it back: the bus may be away for this controller only. Restarts of a broker are shorter.
	hearsBus = 3 * time.Second
	deafFor  = 10 * time.Second
)

// leadership takes the lease of the leader in the store, keeps it, and says at every moment whether this controller may decide.
// Whether another's lease is over is judged by how long it has not changed, on this machine's own clock.
type leadership struct {
	store  LeaderStore
	id     string
	length time.Duration
	alone  bool // nobody else can reach the store
	clock  Clock
	log    hclog.Logger
	wake   chan struct{} // the lease was given back: look now

	term  atomic.Int64 // of the lease that this controller has, had, or is about to take
	until atomic.Int64 // of clock.Elapsed, ns: decide before that only
	heard atomic.Int64 // of clock.Elapsed, ns: when the bus has answered last; 0: never

	mu     sync.Mutex // guards both
	seen   LeaderLease
	seenAt time.Duration // of clock.Elapsed: when it was seen to change last
}

func newLeadership(store LeaderStore, cfg Config, clock Clock, log hclog.Logger) *leadership {
	return &leadership{store: store, id: cfg.ID, length: cfg.LeaderLease, alone: cfg.Alone, clock: clock, log: log, wake: make(chan struct{}, 1)}
}

// decides reports whether this controller may decide in this very moment.
func (l *leadership) decides() bool { return int64(l.clock.Elapsed()) < l.until.Load() }

// errNotLeader is the answer to a decision that came too late.
var errNotLeader = skalds.Errorf(skalds.CodeUnavailable, "this controller does not lead any more: the one that leads decides anew")

// leader names the controller that leads, as far as is known here; empty: none does.
func (l *leadership) leader() string {
	if l.decides() {
		return l.id
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen.Owner == "" || l.seen.Owner == l.id || l.clock.Elapsed()-l.seenAt >= l.seen.Length+2*leaderLook {
		return ""
	}
	return l.seen.Owner
}

// hears notes that the bus answers.
func (l *leadership) hears() { l.heard.Store(max(1, int64(l.clock.Elapsed()))) }

// deaf reports whether the bus has not answered for so long.
func (l *leadership) deaf(length time.Duration) bool {
	at := l.heard.Load()
	return at == 0 || l.clock.Elapsed()-time.Duration(at) > length
}

// look reads the lease and reports whether it can be taken.
func (l *leadership) look(ctx context.Context) (lease LeaderLease, free bool, err error) {
	c, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	lease, err = l.store.Leader(c)
	if err != nil {
		return lease, false, err
	}
	now := l.clock.Elapsed() // after the reading: rather too late than too early
	l.mu.Lock()
	defer l.mu.Unlock()
	if lease != l.seen {
		l.seen, l.seenAt = lease, now
	}
	return lease, l.alone || lease.Owner == "" || lease.Owner == l.id || now-l.seenAt >= lease.Length, nil
}

// Run leads whenever it can, until ctx ends. lead runs while this controller has the lease; its ctx ends when the lease does. free is told
// after the lease was given back.
func (l *leadership) Run(ctx context.Context, lead func(ctx context.Context) error, free func()) error {
	failing, said := false, false
	back := time.Duration(-1) // since when it might lead but for the bus; below zero: that is not so
	for {
		lease, mine, err := l.look(ctx)
		deaf := !l.alone && l.deaf(hearsBus)
		switch now := l.clock.Elapsed(); {
		case !deaf || !mine || err != nil:
			back, said = -1, false
		case back < 0:
			back = now
		case !said && now-back > hearsBus:
			said = true
			l.log.Warn("nobody leads, and this controller does not either while the bus does not answer it: tasks wait")
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			failing = true
			l.log.Warn("cannot read who leads: tried again until it works", "err", err)
		case err == nil && failing:
			failing = false
			l.log.Info("who leads can be read again")
		}
		if err == nil && mine && !deaf {
			if err := l.take(ctx, lease, lead, free); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
		}
		l.rest(ctx, leaderLook)
	}
}

// Watch only looks who leads, until ctx ends.
func (l *leadership) Watch(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		if _, _, err := l.look(ctx); err != nil && !failing && ctx.Err() == nil {
			l.log.Warn("cannot read who leads: tried again until it works", "err", err)
			failing = true
		} else if err == nil {
			failing = false
		}
		l.rest(ctx, time.Second)
	}
	return nil
}

// rest waits a moment, or until ctx ends or the lease was given back.
func (l *leadership) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-l.wake:
	}
}

// take tries to make the lease this controller's, and leads for as long as it is.
func (l *leadership) take(ctx context.Context, prev LeaderLease, lead func(ctx context.Context) error, free func()) error {
	lease := LeaderLease{
		Owner: l.id, Term: max(prev.Term+1, l.clock.Now().UnixMilli()), // also above those of a store that was set back
		Renewal: prev.Renewal + 1, Length: l.length,
	}
	l.term.Store(lease.Term)
	if err := l.write(ctx, prev, lease); err != nil {
		if !errors.Is(err, skalds.ErrRevision) && ctx.Err() == nil {
			l.log.Debug("cannot take the leader's lease", "err", err)
		}
		return nil
	}
	l.log.Info("this controller leads", "id", l.id, "term", lease.Term, "before", prev.Owner)
	term, end := context.WithCancelCause(ctx)
	led := make(chan error, 1)
	go func() {
		err := lead(term)
		end(err)
		led <- err
	}()
	last, how := l.keep(term, lease)
	if how == lost {
		l.until.Store(0)
	}
	end(errNotLeader)
	err := <-led // what it still stores at its end is within the lease
	l.until.Store(0)
	switch {
	case how == lost:
		l.log.Warn("this controller does not lead any more", "term", lease.Term)
	case err == nil && how == deafened:
		l.log.Warn("this controller leads no more, as the bus has not answered it for long: another one may hear it", "term", lease.Term, "silent", deafFor)
		l.giveBack(ctx, last, func() {}) // nobody would hear of it
	case err == nil:
		l.giveBack(ctx, last, free)
	}
	return err
}

// termEnd is how a term ends.
type termEnd int

const (
	over     termEnd = iota // its ctx has ended
	lost                    // the lease may be another's
	deafened                // the bus has been silent for long
)

// write stores a lease of this controller; the right to decide counts from before the writing.
func (l *leadership) write(ctx context.Context, prev, next LeaderLease) error {
	sent := l.clock.Elapsed()
	c, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	if err := l.store.SaveLeader(c, prev, next); err != nil {
		return err
	}
	until := int64(sent + l.length*2/3)
	if l.alone {
		until = math.MaxInt64
	}
	l.until.Store(until)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen, l.seenAt = next, l.clock.Elapsed()
	return nil
}

// keep renews the lease until ctx ends, until it may be another's, or until the bus has been silent for long.
func (l *leadership) keep(ctx context.Context, lease LeaderLease) (last LeaderLease, how termEnd) {
	if l.alone {
		<-ctx.Done()
		return lease, over
	}
	pause := renewEvery
	for {
		rest(ctx, pause)
		if ctx.Err() != nil {
			return lease, over
		}
		switch {
		case !l.decides():
			return lease, lost
		case l.deaf(deafFor):
			return lease, deafened
		}
		next := lease
		next.Renewal++
		err := l.write(ctx, lease, next)
		switch {
		case err == nil:
			lease, pause = next, renewEvery
			continue
		case ctx.Err() != nil:
			return lease, over
		case errors.Is(err, skalds.ErrRevision):
			// A renewal whose answer was lost looks like that too: what the store has says whose it is.
			now, _, err := l.look(ctx)
			if err == nil && (now.Owner != l.id || now.Term != lease.Term) {
				return lease, lost
			}
			if err == nil {
				lease = now
			}
		default:
			l.log.Debug("cannot renew the leader's lease", "err", err)
		}
		pause = leaderLook
	}
}

// giveBack lets another controller lead at once. A renewal that was under way when this controller was told to end may have been
// stored, though nobody heard the answer: then the lease to give back is that one.
func (l *leadership) giveBack(ctx context.Context, lease LeaderLease, free func()) {
	if l.alone {
		return
	}
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaderTimeout)
	defer cancel()
	err := l.release(c, lease)
	if errors.Is(err, skalds.ErrRevision) {
		now, readErr := l.store.Leader(c)
		switch {
		case readErr != nil:
			err = readErr
		case now.Owner == l.id && now.Term == lease.Term:
			err = l.release(c, now)
		}
	}
	if err != nil {
		l.log.Debug("cannot give the leader's lease back: it ends by itself", "err", err)
		return
	}
	free()
}

func (l *leadership) release(ctx context.Context, lease LeaderLease) error {
	next := lease
	next.Owner = ""
	next.Renewal++
	return l.store.SaveLeader(ctx, lease, next)
}

// freed hears that a lease was given back.
func (l *leadership) freed() {
	poke(l.wake)
}
