package porttest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

func storeRace(t *testing.T, s controller.Store) {
	const savers, rounds = 8, 20
	create(t, s, newTask("one", 1))
	for round := range rounds {
		base := read(t, s, "one")
		var mu sync.Mutex
		var won []int
		var wg sync.WaitGroup
		for i := range savers {
			wg.Go(func() {
				mine := base.Clone()
				mine.Waiting = fmt.Sprint(i)
				err := s.Save(t.Context(), mine)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won = append(won, i)
				case !errors.Is(err, skalds.ErrRevision):
					t.Errorf("a loser got %v, want ErrRevision", err)
				}
			})
		}
		wg.Wait()
		got := read(t, s, "one")
		if len(won) != 1 || got.Waiting != fmt.Sprint(won[0]) || got.Revision != base.Revision+1 {
			t.Fatalf("round %d: savers %v won, stored is that of %s at revision %d", round, won, got.Waiting, got.Revision)
		}
	}
}

func storeCreateRace(t *testing.T, s controller.Store) {
	const creators = 8
	var mu sync.Mutex
	made, ids := 0, map[string]bool{}
	var wg sync.WaitGroup
	for i := range creators {
		wg.Go(func() {
			task := newTask(fmt.Sprintf("t%d", i), int64(i))
			task.IdempotencyKey = "key"
			stored, created, err := s.Create(t.Context(), task)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("create: %v", err)
				return
			}
			if created {
				made++
			}
			ids[stored.ID] = true
		})
	}
	wg.Wait()
	if made != 1 || len(ids) != 1 {
		t.Errorf("%d tasks were made under one key, callers saw %v", made, ids)
	}
}
