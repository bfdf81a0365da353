package host

import (
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// A pause, be it the worker's own or a freeze, stands still for the run time-out and for the promise of progress alike.
func TestPausedTimeDoesNotCount(t *testing.T) {
	b, _, _ := nodeHost(t)
	const allowed = 3 * time.Second
	classes := map[string]string{"Script": "frozen", "Pausing": "pausing"}
	timed, promising := map[string]skalds.Command{}, map[string]skalds.Command{}
	begun := time.Now()
	for class, name := range classes {
		spec := scriptSpec("timed-"+name, class, script{Do: "watch"})
		spec.IsPersistent, spec.Retry.MaxAttempts = false, 1
		spec.Timeouts.Run = skalds.Duration(allowed)
		timed[spec.ID] = command(spec, 1, 1)
		spec = scriptSpec("promising-"+name, class, script{Do: "promise"})
		spec.IsPersistent, spec.Retry.MaxAttempts = false, 1
		promising[spec.ID] = command(spec, 1, 1)
	}
	pids := map[string]int{}
	all := []map[string]skalds.Command{timed, promising}
	for _, group := range all {
		for _, c := range group {
			b.send(c)
		}
	}
	for _, group := range all {
		for id, c := range group {
			pids[id] = waitRunning(t, b, id, 1).PID
			b.send(pause2(c, 2))
		}
	}
	for _, group := range all {
		for id := range group {
			eventually(t, id+" is paused", soon, func() bool { return b.last(id).State == skalds.Paused })
		}
	}
	paused := time.Now()
	time.Sleep(promised + allowed) // time that passes is what is tested
	resumed := time.Now()
	for _, group := range all {
		for id, c := range group {
			if r := b.last(id); r.State != skalds.Paused || len(b.outcomes(id, skalds.OutcomeExit)) > 0 {
				t.Errorf("%s: %+v", id, r)
			}
			c.DesiredRevision = 3
			b.send(c)
		}
	}
	for id := range timed {
		x := exitOf(t, b, id)
		if ran := paused.Sub(begun) + time.Since(resumed); x.Exit.Kind != skalds.ExitRunTimeout || x.PID != pids[id] || ran < allowed {
			t.Errorf("%s: after %s: %+v", id, ran, x.Exit)
		}
	}
	for id, c := range promising { // kept before, during and after
		eventually(t, id+" goes on", soon, func() bool {
			s, ok := b.live(id)
			return ok && s.State == skalds.Running && s.PID == pids[id] && s.Attempt == 1
		})
		if n := len(b.outcomes(id, skalds.OutcomeExit)); n > 0 {
			t.Errorf("%s: %d ends", id, n)
		}
		still := command(scriptSpec(id, c.Spec.ClassName, script{Do: "promise", Text: "stand still"}), 1, 4)
		still.Spec.IsPersistent, still.Spec.Retry.MaxAttempts = false, 1
		b.send(still)
	}
	for id := range promising { // and held against it afterwards as ever
		if x := exitOf(t, b, id).Exit; x.Kind != skalds.ExitStall || !strings.Contains(x.Message, "frames") {
			t.Errorf("%s: %+v", id, x)
		}
	}
}
