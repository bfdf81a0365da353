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
