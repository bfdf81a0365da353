package porttest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

func storeLeader(t *testing.T, s controller.Store) {
	ctx := t.Context()
	read := func() controller.LeaderLease {
		t.Helper()
		l, err := s.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	same(t, "before anybody led", read(), controller.LeaderLease{})
	first := controller.LeaderLease{Owner: "a", Term: 7, Renewal: 1, Length: 2700 * time.Millisecond}
	renewed := first
	renewed.Renewal = 2
	free := controller.LeaderLease{Term: 7, Renewal: 3, Length: time.Second}
	next := controller.LeaderLease{Owner: "b", Term: 8, Renewal: 4, Length: time.Second}
	before := controller.LeaderLease{}
	for i, l := range []controller.LeaderLease{first, renewed, free, next} {
		for _, stale := range []controller.LeaderLease{{Owner: before.Owner, Term: before.Term + 1, Renewal: before.Renewal}, {Term: before.Term, Renewal: before.Renewal + 1}} {
			if err := s.SaveLeader(ctx, stale, l); !errors.Is(err, skalds.ErrRevision) {
				t.Errorf("step %d: saved over another lease: %v", i, err)
			}
		}
		if err := s.SaveLeader(ctx, before, l); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		same(t, fmt.Sprint("step ", i), read(), l)
		if err := s.SaveLeader(ctx, before, l); !errors.Is(err, skalds.ErrRevision) {
			t.Errorf("step %d: saved twice: %v", i, err)
		}
		before = l
	}
}

func storeLeaderRace(t *testing.T, s controller.Store) {
	prev := controller.LeaderLease{}
	for term := int64(1); term <= 5; term++ {
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				next := controller.LeaderLease{Owner: fmt.Sprint("c", i), Term: term, Renewal: term, Length: time.Second}
				switch err := s.SaveLeader(t.Context(), prev, next); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, skalds.ErrRevision):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Fatalf("term %d: %d took the lead", term, n)
		}
		var err error
		if prev, err = s.Leader(t.Context()); err != nil || prev.Term != term {
			t.Fatalf("term %d: %+v, %v", term, prev, err)
		}
	}
}
