package porttest

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

func newTask(id string, created int64) *skalds.Task {
	return &skalds.Task{
		Spec: skalds.Spec{
			ID: id, ClassName: "Recorder", Name: id, Mode: skalds.ModePassive, CreateDateTime: created,
			Attachments: json.RawMessage(`{"rtspUrl":"rtsp://camera/1","fixFrame":30}`),
			Retry:       skalds.Retry{MaxAttempts: 3},
		},
		LifecycleStatus: skalds.Created, UpdateDateTime: created, QueuedAt: created, Desired: skalds.DesiredRunning,
	}
}

func create(t testing.TB, s controller.Store, task *skalds.Task) *skalds.Task {
	t.Helper()
	stored, created, err := s.Create(t.Context(), task)
	if err != nil || !created {
		t.Fatalf("create %s: created %t, %v", task.ID, created, err)
	}
	return stored
}

func read(t testing.TB, s controller.Store, id string) *skalds.Task {
	t.Helper()
	task, err := s.Task(t.Context(), id)
	if err != nil {
		t.Fatalf("read %s: %v", id, err)
	}
	return task
}

func save(t testing.TB, s controller.Store, task *skalds.Task) {
	t.Helper()
	if err := s.Save(t.Context(), task); err != nil {
		t.Fatalf("save %s: %v", task.ID, err)
	}
}

func ids(tasks []*skalds.Task) []string {
	out := []string{}
	for _, t := range tasks {
		out = append(out, t.ID)
	}
	return out
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func storeCreate(t *testing.T, s controller.Store) {
	task := newTask("Käse / 1", 1000)
	task.Labels = map[string]string{"zone": "a"}
	task.Stages = map[string]json.RawMessage{"download": json.RawMessage(`{"n":1}`)}
	task.NodeLosses = []int64{1, 2}
	stored := create(t, s, task)
	if stored.Revision != 1 {
		t.Errorf("a new task has revision %d, want 1", stored.Revision)
	}
	same(t, "read again", read(t, s, task.ID), stored)
	if _, err := s.Task(t.Context(), "nobody"); !errors.Is(err, skalds.ErrNotFound) {
		t.Errorf("reading an unknown task: %v, want not found", err)
	}
}

func storeIdempotency(t *testing.T, s controller.Store) {
	first := newTask("first", 1)
	first.IdempotencyKey, first.IdempotencyHash = "key", "hash"
	create(t, s, first)
	second := newTask("second", 2)
	second.IdempotencyKey, second.IdempotencyHash = "key", "other hash"
	stored, created, err := s.Create(t.Context(), second)
	if err != nil || created {
		t.Fatalf("the same key again: created %t, %v", created, err)
	}
	if stored.ID != "first" || stored.IdempotencyHash != "hash" {
		t.Errorf("the same key gave %s with hash %q, want the first task", stored.ID, stored.IdempotencyHash)
	}
	if _, err := s.Task(t.Context(), "second"); !errors.Is(err, skalds.ErrNotFound) {
		t.Errorf("the second task exists: %v", err)
	}
	create(t, s, newTask("third", 3)) // no key twice is no conflict
	create(t, s, newTask("fourth", 3))
}

func storeConflict(t *testing.T, s controller.Store) {
	create(t, s, newTask("one", 1))
	other := newTask("one", 2)
	other.ClassName = "Other"
	if _, _, err := s.Create(t.Context(), other); !errors.Is(err, skalds.ErrConflict) {
		t.Fatalf("create with a known id: %v, want a conflict", err)
	}
	if got := read(t, s, "one"); got.ClassName != "Recorder" || got.Revision != 1 {
		t.Errorf("the refused create has changed the task: %s, revision %d", got.ClassName, got.Revision)
	}
}

func storeSave(t *testing.T, s controller.Store) {
	task := create(t, s, newTask("one", 1))
	old := task.Clone()
	task.LifecycleStatus, task.Executor, task.Epoch = skalds.Assigning, "n1", 1
	save(t, s, task)
	if task.Revision != 2 {
		t.Errorf("after a save the revision is %d, want 2", task.Revision)
	}
	same(t, "read again", read(t, s, "one"), task)
	old.LifecycleStatus = skalds.Cancelled
	if err := s.Save(t.Context(), old); !errors.Is(err, skalds.ErrRevision) {
		t.Fatalf("save with an old revision: %v, want ErrRevision", err)
	}
	if old.Revision != 1 {
		t.Errorf("a refused save has changed the caller's revision to %d", old.Revision)
	}
	same(t, "after the refused save", read(t, s, "one"), task)
	task.LifecycleStatus, task.EndedAt = skalds.Finished, 99
	save(t, s, task)
	if err := s.Save(t.Context(), newTask("nobody", 1)); !errors.Is(err, skalds.ErrNotFound) {
		t.Errorf("save an unknown task: %v, want not found", err)
	}
}
