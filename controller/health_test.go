package controller_test

import (
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
)

// While the store is away nothing can be accepted, and nobody says that it is.
func TestWhoLeadsWithoutTheStore(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		s.awaitLeader()
		other := s.other()
		leader := s.leading()
		if got := other.Health().Leader(t.Context()); got.ID != leader.id || got.URL != "" { // nothing is announced
			t.Errorf("%+v", got)
		}
		if got := leader.Health().Leader(t.Context()); got.ID != leader.id || got.URL != "http://"+leader.id+".example:8000" {
			t.Errorf("%+v", got)
		}
		away := skalds.Errorf(skalds.CodeUnavailable, "the store is away")
		s.store.SetFault(func(string) error { return away })
		defer s.store.SetFault(nil)
		s.await("nobody leads", func() bool { return other.Leader() == "" })
		ready := other.Health().Ready(t.Context())
		if ready["store"] == "" || !strings.HasPrefix(ready["leader"], "no controller leads without the store") {
			t.Errorf("%q", ready)
		}
		s.store.SetFault(nil)
		s.awaitLeader()
	})
}
