package host

import (
	"time"

	"github.com/skalds-go/skalds"
)

// deadlines judge one attempt by the clock: start, run and stall time-outs. Paused time does not count. Pure: times are
// handed in; one goroutine uses it.
type deadlines struct {
	timeouts skalds.Timeouts
	launched time.Time // the process answers; zero: not yet
	started  time.Time // Main was entered; zero: not yet
	paused   time.Time // since when; zero: not paused
	rested   time.Duration
	// The progress contract: at least one unit per budget, counted from the contract or the last unit.
	budget   time.Duration
	unit     string
	lastUnit time.Time
}

// overdue is a broken bound.
type overdue struct {
	Kind    skalds.ExitKind
	Message string
}

// start notes that Main has been entered.
func (d *deadlines) start(now time.Time) { d.started, d.lastUnit = now, now }

// contract notes a promise of the worker: one unit per budget; 0 withdraws it. The task's own stall time-out, where it is
// set, overrides the worker's budget.
func (d *deadlines) contract(now time.Time, unit string, budget time.Duration) {
	if budget > 0 && d.timeouts.Stall > 0 {
		budget = d.timeouts.Stall.D()
	}
	d.unit, d.budget, d.lastUnit = unit, budget, now
}

// progressed notes a unit.
func (d *deadlines) progressed(at time.Time) {
	if at.After(d.lastUnit) {
		d.lastUnit = at
	}
}

func (d *deadlines) pause(now time.Time) {
	if d.paused.IsZero() {
		d.paused = now
	}
}

func (d *deadlines) resume(now time.Time) {
	if d.paused.IsZero() {
		return
	}
	rest := now.Sub(d.paused)
	d.rested += rest
	d.lastUnit = d.lastUnit.Add(rest)
	d.paused = time.Time{}
}

// healthy is how long Main has run, pauses not counted.
func (d *deadlines) healthy(now time.Time) time.Duration {
	if d.started.IsZero() {
		return 0
	}
	if !d.paused.IsZero() {
		now = d.paused
	}
	return now.Sub(d.started) - d.rested
}

// next is when to look again; zero: nothing is bounded now.
func (d *deadlines) next() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	switch {
	case !d.paused.IsZero():
	case d.started.IsZero():
		if d.timeouts.Start > 0 && !d.launched.IsZero() {
			sooner(d.launched.Add(d.timeouts.Start.D()))
		}
	default:
		if d.timeouts.Run > 0 {
			sooner(d.started.Add(d.rested + d.timeouts.Run.D()))
		}
		if d.budget > 0 {
			sooner(d.lastUnit.Add(d.budget))
		}
	}
	return at
}

// stoodStill is how late a look may be that still judges a stall. Who looks later has stood still itself, stopped or starved,
// and what the worker said meanwhile may wait to be read: it gets a new period.
const stoodStill = time.Second

// check names the bound that is broken; nil: none.
func (d *deadlines) check(now time.Time) *overdue {
	at := d.next()
	if at.IsZero() || now.Before(at) {
		return nil
	}
	switch {
	case d.started.IsZero():
		return &overdue{skalds.ExitStartTimeout, "did not enter Main within " + d.timeouts.Start.String() + " of its launch"}
	case d.timeouts.Run > 0 && !now.Before(d.started.Add(d.rested+d.timeouts.Run.D())):
		return &overdue{skalds.ExitRunTimeout, "ran longer than the " + d.timeouts.Run.String() + " allowed"}
	case now.Sub(at) > stoodStill:
		d.lastUnit = now
		return nil
	default:
		unit := d.unit
		if unit == "" {
			unit = "progress"
		}
		return &overdue{skalds.ExitStall, "no " + unit + " for " + d.budget.String() + ", though at least one was promised"}
	}
}
