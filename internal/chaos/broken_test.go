//go:build linux

package chaos

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/faultproxy"
	"github.com/skalds-go/skalds/internal/history"
)

// TestABrokenPromiseIsFound breaks one on purpose: hosts that believe in a longer lease than their controller let a task run on that is
// given to another. It passes where that is found in the history.
func TestABrokenPromiseIsFound(t *testing.T) {
	dir := folder(t)
	c := misled(t, dir, embeddedServices(t, dir+"/services"), 1, 2, 3*time.Second, time.Hour)
	l := &load{c: c}
	id := l.lasting(1)[0]
	runsOn := func(not string) (node string) {
		c.until(id+" runs", func(ctx context.Context) bool {
			r, err := c.clients[0].Task(ctx, id)
			if err != nil || r.LifecycleStatus != skalds.Running || r.Phase != skalds.PhaseNone || *r.Executor == not {
				return false
			}
			node = *r.Executor
			return true
		})
		return node
	}
	first := runsOn("")
	for way, p := range c.ways {
		if memberOf(way) == first {
			if err := p.Set(faultproxy.Fault{Refuse: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	runsOn(first)
	found := func(v history.Violation) bool { return v.Task == id && v.Rule == "two processes at once" }
	c.until("two processes have told of themselves", func(context.Context) bool {
		list, _, _ := c.violations()
		return slices.ContainsFunc(list, found)
	})
	c.heal()
}
