package porttest

import (
	"fmt"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

func storePrune(t *testing.T, s controller.Store) {
	for i := range 10 {
		task := newTask(fmt.Sprintf("t%d", i), int64(i))
		if i < 8 {
			task.LifecycleStatus, task.EndedAt = []skalds.State{skalds.Finished, skalds.Failed, skalds.Cancelled}[i%3], int64(100+i)
		}
		create(t, s, task)
		if err := s.PutOutcome(t.Context(), exitOutcome(task.ID, 1, 1, 50, skalds.ExitError)); err != nil {
			t.Fatal(err)
		}
		if err := s.Audit(t.Context(), controller.AuditEntry{At: 1, TaskID: task.ID, Action: "create"}); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := s.Prune(t.Context(), 103, 3)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "removed by age, then by number", removed, []string{"t0", "t1", "t2", "t3", "t4"})
	page, err := s.Tasks(t.Context(), controller.TaskFilter{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "left", ids(page.Items), []string{"t9", "t8", "t7", "t6", "t5"})
	for id, want := range map[string]int{"t0": 0, "t4": 0, "t5": 1, "t9": 1} {
		attempts, err := s.Attempts(t.Context(), id)
		if err != nil || len(attempts) != want {
			t.Errorf("%s has %d attempts, %v; want %d", id, len(attempts), err, want)
		}
		audits, err := s.Audits(t.Context(), id, 10)
		if err != nil || len(audits) != want {
			t.Errorf("%s has %d audit entries, %v; want %d", id, len(audits), err, want)
		}
	}
	if removed, err = s.Prune(t.Context(), 0, 0); err != nil || len(removed) != 0 {
		t.Errorf("prune without limits removed %v, %v", removed, err)
	}
}

func storePruneRetried(t *testing.T, s controller.Store) {
	task := newTask("one", 1)
	task.LifecycleStatus, task.EndedAt = skalds.Failed, 5
	task = create(t, s, task)
	task.LifecycleStatus, task.EndedAt = skalds.Created, 0
	save(t, s, task)
	removed, err := s.Prune(t.Context(), 1000, 1)
	if err != nil || len(removed) != 0 {
		t.Errorf("prune removed %v, %v", removed, err)
	}
}
