package porttest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// RunLeaderStore checks a controller.LeaderStore. open returns an empty one; who opens it closes it.
func RunLeaderStore(t *testing.T, open func(t testing.TB) controller.LeaderStore) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s controller.LeaderStore)
	}{
		{"a lease is taken, renewed, given back and taken again", leaderLife},
		{"a lease that has changed is not replaced", leaderStale},
		{"exactly one of many first takers wins", leaderFirstRace},
		{"exactly one of many takers wins", leaderRace},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func leaderIs(t testing.TB, s controller.LeaderStore, want controller.LeaderLease) {
	t.Helper()
	got, err := s.Leader(t.Context())
	if err != nil {
		t.Fatalf("read the lease: %v", err)
	}
	same(t, "lease", got, want)
}

func leaderLife(t *testing.T, s controller.LeaderStore) {
	var lease controller.LeaderLease
	leaderIs(t, s, lease)
	for _, next := range []controller.LeaderLease{
		{Owner: "a", Term: 1, Renewal: 1, Length: 1500 * time.Millisecond},
		{Owner: "a", Term: 1, Renewal: 2, Length: 1500 * time.Millisecond},
		{Owner: "", Term: 1, Renewal: 3, Length: 1500 * time.Millisecond},
		{Owner: "b", Term: 2, Renewal: 4, Length: 2 * time.Second},
		{Owner: "c", Term: 1 << 60, Renewal: 1<<53 + 1, Length: time.Hour},
	} {
		if err := s.SaveLeader(t.Context(), lease, next); err != nil {
			t.Fatalf("save %+v: %v", next, err)
		}
		lease = next
		leaderIs(t, s, lease)
	}
}

func leaderStale(t *testing.T, s controller.LeaderStore) {
	none := controller.LeaderLease{}
	first := controller.LeaderLease{Owner: "a", Term: 1, Renewal: 1, Length: time.Second}
	refused := func(what string, prev, next controller.LeaderLease) {
		t.Helper()
		if err := s.SaveLeader(t.Context(), prev, next); !errors.Is(err, skalds.ErrRevision) {
			t.Errorf("%s: %v, want ErrRevision", what, err)
		}
	}
	refused("a renewal of what was never taken", first, controller.LeaderLease{Owner: "a", Term: 1, Renewal: 2})
	leaderIs(t, s, none)
	if err := s.SaveLeader(t.Context(), none, first); err != nil {
		t.Fatal(err)
	}
	taken := controller.LeaderLease{Owner: "b", Term: 2, Renewal: 2}
	refused("a first taking of what is taken", none, taken)
	refused("the same writing again", none, first)
	refused("of another renewal", controller.LeaderLease{Owner: "a", Term: 1, Renewal: 0, Length: time.Second}, taken)
	refused("of another term", controller.LeaderLease{Owner: "a", Term: 0, Renewal: 1, Length: time.Second}, taken)
	leaderIs(t, s, first)
	// Owner and length are no part of what is compared.
	if err := s.SaveLeader(t.Context(), controller.LeaderLease{Term: 1, Renewal: 1}, taken); err != nil {
		t.Fatal(err)
	}
	leaderIs(t, s, taken)
}

func leaderFirstRace(t *testing.T, s controller.LeaderStore) {
	won := takeLeader(t, s, controller.LeaderLease{})
	leaderIs(t, s, won)
}

func leaderRace(t *testing.T, s controller.LeaderStore) {
	var lease controller.LeaderLease
	for range 20 {
		lease = takeLeader(t, s, lease)
		leaderIs(t, s, lease)
	}
}

// takeLeader lets many take the lease at once, and returns that of the one that got it.
func takeLeader(t testing.TB, s controller.LeaderStore, prev controller.LeaderLease) controller.LeaderLease {
	t.Helper()
	const takers = 8
	var mu sync.Mutex
	var won []controller.LeaderLease
	var wg sync.WaitGroup
	for i := range takers {
		wg.Go(func() {
			next := controller.LeaderLease{Owner: fmt.Sprint("controller ", i), Term: prev.Term + 1, Renewal: prev.Renewal + 1, Length: time.Second}
			err := s.SaveLeader(t.Context(), prev, next)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, next)
			case !errors.Is(err, skalds.ErrRevision):
				t.Errorf("a loser got %v, want ErrRevision", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d takers got the lease of term %d: %+v", len(won), prev.Term+1, won)
	}
	return won[0]
}
