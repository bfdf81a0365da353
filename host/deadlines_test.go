package host

import (
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func TestDeadlines(t *testing.T) {
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	limits := skalds.Timeouts{Start: skalds.Duration(10 * time.Second), Run: skalds.Duration(60 * time.Second)}
	kind := func(o *overdue) skalds.ExitKind {
		if o == nil {
			return ""
		}
		return o.Kind
	}
	for name, c := range map[string]struct {
		act  func(d *deadlines)
		at   float64
		want skalds.ExitKind
	}{
		"starting in time":             {func(*deadlines) {}, 9.9, ""},
		"start time-out":               {func(*deadlines) {}, 10, skalds.ExitStartTimeout},
		"started ends the start":       {func(d *deadlines) { d.start(at(5)) }, 20, ""},
		"run time-out":                 {func(d *deadlines) { d.start(at(5)) }, 65, skalds.ExitRunTimeout},
		"pause suspends the run":       {func(d *deadlines) { d.start(at(5)); d.pause(at(10)) }, 1000, ""},
		"paused time is not run":       {func(d *deadlines) { d.start(at(5)); d.pause(at(10)); d.resume(at(110)) }, 164, ""},
		"but run time after it is":     {func(d *deadlines) { d.start(at(5)); d.pause(at(10)); d.resume(at(110)) }, 165, skalds.ExitRunTimeout},
		"no contract, no stall":        {func(d *deadlines) { d.start(at(1)) }, 50, ""},
		"stall":                        {func(d *deadlines) { d.start(at(1)); d.contract(at(2), "frames", 5*time.Second) }, 7, skalds.ExitStall},
		"who looks late judges nobody": {func(d *deadlines) { d.start(at(1)); d.contract(at(2), "frames", 5*time.Second) }, 8.1, ""},
		"a unit renews": {func(d *deadlines) {
			d.start(at(1))
			d.contract(at(2), "frames", 5*time.Second)
			d.progressed(at(6))
		}, 10.9, ""},
		"the contract is withdrawn": {func(d *deadlines) {
			d.start(at(1))
			d.contract(at(2), "frames", 5*time.Second)
			d.contract(at(3), "frames", 0)
		}, 30, ""},
		"pause suspends the stall": {func(d *deadlines) {
			d.start(at(1))
			d.contract(at(2), "frames", 5*time.Second)
			d.pause(at(4))
			d.resume(at(50))
		}, 52.9, ""},
		"and it counts on afterwards": {func(d *deadlines) {
			d.start(at(1))
			d.contract(at(2), "frames", 5*time.Second)
			d.pause(at(4))
			d.resume(at(50))
		}, 53, skalds.ExitStall},
	} {
		t.Run(name, func(t *testing.T) {
			d := &deadlines{timeouts: limits, launched: t0}
			c.act(d)
			if got := kind(d.check(at(c.at))); got != c.want {
				t.Errorf("at %gs: %q, want %q", c.at, got, c.want)
			}
		})
	}
	t.Run("the task's own stall time-out overrides the worker's", func(t *testing.T) {
		d := &deadlines{timeouts: skalds.Timeouts{Stall: skalds.Duration(time.Second)}, launched: t0}
		d.start(at(1))
		d.contract(at(1), "frames", 5*time.Second)
		if kind(d.check(at(2))) != skalds.ExitStall {
			t.Error("waited for the worker's budget")
		}
	})
	t.Run("a late look gives one new period", func(t *testing.T) {
		d := &deadlines{launched: t0}
		d.start(at(1))
		d.contract(at(2), "frames", 5*time.Second)
		if o := d.check(at(20)); o != nil {
			t.Errorf("at once: %+v", o)
		}
		if kind(d.check(at(24.9))) != "" || kind(d.check(at(25))) != skalds.ExitStall {
			t.Error("the new period is not that of the promise")
		}
	})
	t.Run("health leaves pauses out", func(t *testing.T) {
		d := &deadlines{launched: t0}
		d.start(at(0))
		d.pause(at(10))
		if got := d.healthy(at(100)); got != 10*time.Second {
			t.Errorf("while paused: %s", got)
		}
		d.resume(at(100))
		if got := d.healthy(at(105)); got != 15*time.Second {
			t.Errorf("after it: %s", got)
		}
	})
}
