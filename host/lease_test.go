package host

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestLease(t *testing.T) {
	const s = time.Second
	t.Run("a host that was never attached has none", func(t *testing.T) {
		l := lease{length: 6 * s}
		l.acknowledge(1 * s)
		if l.check(1000*s) != leaseNothing {
			t.Error("expired")
		}
	})
	t.Run("it ends a margin before its length, counted from the sending", func(t *testing.T) {
		l := lease{length: 6 * s}
		l.attach(10 * s)
		l.acknowledge(12 * s)
		l.acknowledge(11 * s) // an older one, acknowledged later, takes nothing back
		if got := l.check(17*s - 1); got != leaseNothing {
			t.Error("expired early")
		}
		if got := l.check(17 * s); got != leaseExpired {
			t.Error("did not expire at renewal + 6s - 1s")
		}
		if got := l.check(18 * s); got != leaseNothing {
			t.Error("expired twice")
		}
	})
	t.Run("regained by the next acknowledgement, and can be lost again", func(t *testing.T) {
		l := lease{length: 6 * s}
		l.attach(0)
		l.check(5 * s)
		if got := l.acknowledge(20 * s); got != leaseRegained {
			t.Error("not regained")
		}
		if got := l.acknowledge(21 * s); got != leaseNothing {
			t.Error("regained twice")
		}
		if l.check(25*s) != leaseNothing || l.check(26*s) != leaseExpired {
			t.Error("does not expire again")
		}
	})
	t.Run("heartbeats acknowledged before the attachment count", func(t *testing.T) {
		l := lease{length: 6 * s}
		l.acknowledge(30 * s)
		l.attach(29 * s)
		if l.deadline() != 35*s {
			t.Error(l.deadline())
		}
	})
}

// TestALeaseThatEndedUnseen is a machine that has slept: nobody has looked at the lease, and the first heartbeat gets through.
func TestALeaseThatEndedUnseen(t *testing.T) {
	var events []string
	h := &heartbeats{
		log: hclog.NewNullLogger(), expired: func() { events = append(events, "expired") },
		regained: func() { events = append(events, "regained") },
	}
	h.lease = lease{length: 6 * time.Second, attached: true, renewed: bootTime() - 10*time.Second}
	if h.holds() {
		t.Error("a task may be started though the lease is over")
	}
	failing := false
	h.outcome(t.Context(), "bus", nil, &failing, bootTime())
	if !slices.Equal(events, []string{"expired", "regained"}) {
		t.Errorf("%v: tasks that another node may run by now must be killed first", events)
	}
	if !h.holds() {
		t.Error("the lease is not regained")
	}
}
