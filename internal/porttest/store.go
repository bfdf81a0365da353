package porttest

import (
	"testing"

	"github.com/skalds-go/skalds/controller"
)

// RunStore checks a controller.Store. open returns an empty one, which the suite closes.
func RunStore(t *testing.T, open func(t testing.TB) controller.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s controller.Store)
	}{
		{"create and read a task", storeCreate},
		{"idempotency key", storeIdempotency},
		{"same id twice", storeConflict},
		{"save is a compare-and-set", storeSave},
		{"exactly one of many savers wins", storeRace},
		{"exactly one of many creators wins", storeCreateRace},
		{"filters", storeFilters},
		{"pages and cursors", storePages},
		{"queue", storeQueue},
		{"tasks on a node", storeOnNode},
		{"unacknowledged", storeUnacked},
		{"counts and classes", storeCounts},
		{"outcomes", storeOutcomes},
		{"audit", storeAudit},
		{"prune", storePrune},
		{"prune spares what has been retried", storePruneRetried},
		{"nodes and workers", storeNodes},
		{"offsets and generation", storeOffsets},
		{"what a restore needs", storeRestore},
		{"usage", storeUsage},
		{"profiles", storeProfiles},
		{"cancelled context", storeCancelled},
		{"ping and close", storeClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(t, s)
		})
	}
}
