package porttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skalds-go/skalds"
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

func storeFilters(t *testing.T, s controller.Store) {
	for i, c := range []struct {
		id, class, executor string
		state               skalds.State
		mode                skalds.Mode
		labels              map[string]string
	}{
		{"Camera_1", "Recorder", "n1", skalds.Running, skalds.ModeActive, map[string]string{"zone": "a", "a.b": "x\"y"}},
		{"camera%2", "Recorder", "", skalds.Created, skalds.ModePassive, map[string]string{"zone": "b"}},
		{"CAMERA-3", "Detector", "n2", skalds.Failed, skalds.ModePassive, nil},
		{`back\slash`, "Detector", "n1", skalds.Paused, skalds.ModePassive, map[string]string{"zone": "a"}},
		{"ÄRGER", "Other", "", skalds.Created, skalds.ModePassive, nil},
	} {
		task := newTask(c.id, int64(100-i))
		task.ClassName, task.Executor, task.LifecycleStatus, task.Mode, task.Labels = c.class, c.executor, c.state, c.mode, c.labels
		create(t, s, task)
	}
	for _, c := range []struct {
		name   string
		filter controller.TaskFilter
		want   []string
	}{
		{"all, newest first", controller.TaskFilter{}, []string{"Camera_1", "camera%2", "CAMERA-3", `back\slash`, "ÄRGER"}},
		{"one state", controller.TaskFilter{States: []skalds.State{skalds.Created}}, []string{"camera%2", "ÄRGER"}},
		{"two states", controller.TaskFilter{States: []skalds.State{skalds.Running, skalds.Paused}}, []string{"Camera_1", `back\slash`}},
		{"class", controller.TaskFilter{ClassName: "Detector"}, []string{"CAMERA-3", `back\slash`}},
		{"class is exact", controller.TaskFilter{ClassName: "detector"}, nil},
		{"executor", controller.TaskFilter{Executor: "n1"}, []string{"Camera_1", `back\slash`}},
		{"mode", controller.TaskFilter{Mode: skalds.ModeActive}, []string{"Camera_1"}},
		{"part of the id", controller.TaskFilter{IDContains: "cAmErA"}, []string{"Camera_1", "camera%2", "CAMERA-3"}},
		{"underscore is no wildcard", controller.TaskFilter{IDContains: "a_1"}, []string{"Camera_1"}},
		{"percent is no wildcard", controller.TaskFilter{IDContains: "a%"}, []string{"camera%2"}},
		{"dot is no wildcard", controller.TaskFilter{IDContains: "a.1"}, nil},
		{"bracket is no pattern", controller.TaskFilter{IDContains: "["}, nil},
		{"backslash", controller.TaskFilter{IDContains: `\`}, []string{`back\slash`}},
		{"letters beyond ASCII", controller.TaskFilter{IDContains: "ärg"}, []string{"ÄRGER"}},
		{"label", controller.TaskFilter{Labels: map[string]string{"zone": "a"}}, []string{"Camera_1", `back\slash`}},
		{"labels", controller.TaskFilter{Labels: map[string]string{"zone": "a", "a.b": "x\"y"}}, []string{"Camera_1"}},
		{"all together", controller.TaskFilter{
			States: []skalds.State{skalds.Running}, ClassName: "Recorder", Executor: "n1", IDContains: "1", Mode: skalds.ModeActive,
			Labels: map[string]string{"zone": "a"},
		}, []string{"Camera_1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			page, err := s.Tasks(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "ids", ids(page.Items), c.want)
			if page.Total != len(c.want) || page.Next != "" {
				t.Errorf("total %d, next %q; want %d and none", page.Total, page.Next, len(c.want))
			}
		})
	}
}

func storePages(t *testing.T, s controller.Store) {
	var want []string
	for i := range 25 { // five share each time, so that the id decides
		task := newTask(fmt.Sprintf("task-%02d", i), int64(1000-i/5))
		create(t, s, task)
		want = append(want, task.ID)
	}
	page, err := s.Tasks(t.Context(), controller.TaskFilter{Offset: 7, Limit: 6})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "by offset", ids(page.Items), want[7:13])
	if page.Total != 25 {
		t.Errorf("total %d, want 25", page.Total)
	}
	var got []string
	f := controller.TaskFilter{Limit: 6}
	for pages := 1; ; pages++ {
		page, err := s.Tasks(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(page.Items)...)
		if page.Next == "" {
			if pages != 5 {
				t.Errorf("%d pages, want 5", pages)
			}
			break
		}
		f.Cursor, f.Offset = page.Next, 99
		// What is created meanwhile stands before the cursor and disturbs nothing.
		create(t, s, newTask(fmt.Sprintf("later-%d", pages), 5000))
	}
	same(t, "by cursor", got, want)
	if _, err := s.Tasks(t.Context(), controller.TaskFilter{Cursor: "no cursor!"}); !errors.Is(err, skalds.ErrInvalid) {
		t.Errorf("a wrong cursor: %v, want invalid", err)
	}
	page, err = s.Tasks(t.Context(), controller.TaskFilter{Offset: 1000})
	if err != nil || len(page.Items) != 0 || page.Next != "" {
		t.Errorf("beyond the end: %d items, next %q, %v", len(page.Items), page.Next, err)
	}
}

func storeQueue(t *testing.T, s controller.Store) {
	add := func(id string, priority int, created int64, change func(*skalds.Task)) {
		task := newTask(id, created)
		task.Priority = priority
		if change != nil {
			change(task)
		}
		create(t, s, task)
	}
	add("young", 5, 30, nil)
	add("old", 5, 10, nil)
	add("urgent", 9, 40, nil)
	add("low", 0, 1, nil)
	add("running", 9, 1, func(t *skalds.Task) { t.LifecycleStatus, t.Executor = skalds.Running, "n1" })
	add("quarantined", 9, 1, func(t *skalds.Task) { t.Quarantined = "lost three nodes" })
	queue := func(limit int) []string {
		q, err := s.Queue(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return ids(q)
	}
	same(t, "queue", queue(10), []string{"urgent", "old", "young", "low"})
	same(t, "limited", queue(2), []string{"urgent", "old"})
	task := read(t, s, "urgent")
	task.LifecycleStatus, task.Executor = skalds.Assigning, "n1"
	save(t, s, task)
	released := read(t, s, "quarantined")
	released.Quarantined = ""
	save(t, s, released)
	same(t, "after an assignment and a release", queue(10), []string{"quarantined", "old", "young", "low"})
}

func storeOnNode(t *testing.T, s controller.Store) {
	for i, st := range skalds.States() {
		task := newTask("n1-"+string(st), int64(i))
		task.LifecycleStatus, task.Executor = st, "n1"
		create(t, s, task)
	}
	other := newTask("n2", 1)
	other.LifecycleStatus, other.Executor = skalds.Running, "n2"
	create(t, s, other)
	held := newTask("held back", 1)
	held.LifecycleStatus = skalds.Paused
	create(t, s, held)
	got, err := s.OnNode(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "on n1", ids(got), []string{"n1-Assigning", "n1-Running", "n1-Paused"})
	if got, err = s.OnNode(t.Context(), ""); err != nil || len(got) != 0 {
		t.Errorf("on no node: %v, %v", ids(got), err)
	}
}

func storeUnacked(t *testing.T, s controller.Store) {
	for i, c := range []struct {
		id             string
		state          skalds.State
		executor       string
		desired, acked int64
	}{
		{"behind", skalds.Running, "n1", 3, 2},
		{"final", skalds.Cancelled, "n1", 4, 3},
		{"level", skalds.Running, "n1", 3, 3},
		{"on no node", skalds.Created, "", 1, 0},
	} {
		task := newTask(c.id, int64(i))
		task.LifecycleStatus, task.Executor, task.DesiredRevision, task.AckedRevision = c.state, c.executor, c.desired, c.acked
		create(t, s, task)
	}
	list := func(limit int) []string {
		got, err := s.Unacked(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return ids(got)
	}
	same(t, "unacknowledged", list(10), []string{"behind", "final"})
	same(t, "limited", list(1), []string{"behind"})
	task := read(t, s, "behind")
	task.AckedRevision = 3
	save(t, s, task)
	same(t, "after an acknowledgement", list(10), []string{"final"})
}

func storeCounts(t *testing.T, s controller.Store) {
	for i, c := range []struct {
		class string
		state skalds.State
	}{{"B", skalds.Running}, {"A", skalds.Running}, {"A", skalds.Failed}, {"A", skalds.Running}} {
		task := newTask(fmt.Sprint(i), int64(i))
		task.ClassName, task.LifecycleStatus = c.class, c.state
		create(t, s, task)
	}
	all, err := s.CountByState(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "all", all, map[skalds.State]int{skalds.Running: 3, skalds.Failed: 1})
	ofA, err := s.CountByState(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "of A", ofA, map[skalds.State]int{skalds.Running: 2, skalds.Failed: 1})
	classes, err := s.ClassNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "classes", classes, []string{"A", "B"})
}

func exitOutcome(task string, epoch int64, attempt int, ended int64, kind skalds.ExitKind) skalds.Outcome {
	a := &skalds.Attempt{TaskID: task, Epoch: epoch, Attempt: attempt, Node: "n1", Version: "w@1.0.0", StartedAt: epoch*100 + int64(attempt), EndedAt: ended}
	if kind != "" {
		a.Exit = &skalds.Exit{Kind: kind}
	}
	return skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: task, Epoch: epoch, Attempt: attempt, Kind: skalds.OutcomeExit}, Exit: a}
}

func storeOutcomes(t *testing.T, s controller.Store) {
	create(t, s, newTask("one", 1))
	put := func(o skalds.Outcome) {
		t.Helper()
		if err := s.PutOutcome(t.Context(), o); err != nil {
			t.Fatalf("put an outcome: %v", err)
		}
	}
	put(exitOutcome("one", 2, 1, 0, "")) // arrives before that of an older epoch
	put(exitOutcome("one", 1, 2, 0, ""))
	put(exitOutcome("one", 1, 1, 500, skalds.ExitSignal))
	put(exitOutcome("one", 1, 1, 0, ""))                  // the start, late: the end stays
	put(exitOutcome("one", 1, 1, 900, skalds.ExitError))  // another end: the first one stays
	put(exitOutcome("one", 1, 2, 600, skalds.ExitOOM))    // the end replaces the start
	put(exitOutcome("other", 1, 1, 600, skalds.ExitExit)) // of another task
	got, err := s.Attempts(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	want := []skalds.Attempt{*exitOutcome("one", 1, 1, 500, skalds.ExitSignal).Exit, *exitOutcome("one", 1, 2, 600, skalds.ExitOOM).Exit, *exitOutcome("one", 2, 1, 0, "").Exit}
	same(t, "attempts", got, want)

	artifact := func(name string, started, ended, bytes int64) skalds.Outcome {
		return skalds.Outcome{
			OutcomeKey: skalds.OutcomeKey{TaskID: "one", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeArtifact, Name: name},
			Artifact:   &skalds.Artifact{TaskID: "one", Epoch: 1, Kind: "recording", Path: name, StartedAt: started, EndedAt: ended, Bytes: bytes},
		}
	}
	put(artifact("a.mp4", 1, 0, 0))
	put(artifact("b.mp4", 2, 0, 0))
	put(artifact("c.mp4", 3, 0, 0))
	put(artifact("a.mp4", 1, 10, 100))
	put(artifact("a.mp4", 1, 12, 120)) // measured again
	put(artifact("a.mp4", 1, 0, 0))    // the opening, late
	artifacts, err := s.Artifacts(t.Context(), "one", 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "artifacts", artifacts, []skalds.Artifact{*artifact("c.mp4", 3, 0, 0).Artifact, *artifact("b.mp4", 2, 0, 0).Artifact, *artifact("a.mp4", 1, 12, 120).Artifact})
	artifacts, err = s.Artifacts(t.Context(), "one", 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the newest artifact", artifacts, []skalds.Artifact{*artifact("c.mp4", 3, 0, 0).Artifact})

	later := func(o skalds.Outcome, epoch int64, attempt int) skalds.Outcome {
		o.Epoch, o.Attempt = epoch, attempt
		return o
	}
	elsewhere := artifact("c.mp4", 3, 0, 0)
	elsewhere.Artifact.Node, elsewhere.Attempt = "other", 4
	put(elsewhere)                                  // a path of another node is another file
	put(later(artifact("b.mp4", 2, 20, 200), 1, 2)) // ended by what the next attempt found
	put(later(artifact("c.mp4", 3, 30, 300), 2, 1)) // by that of the next epoch
	put(later(artifact("c.mp4", 3, 31, 310), 1, 3)) // word of an older one, late
	artifacts, err = s.Artifacts(t.Context(), "one", 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "artifacts of several attempts", artifacts, []skalds.Artifact{
		*artifact("c.mp4", 3, 30, 300).Artifact, *elsewhere.Artifact, *artifact("b.mp4", 2, 20, 200).Artifact, *artifact("a.mp4", 1, 12, 120).Artifact,
	})

	result := skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: "one", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeResult}, Value: json.RawMessage(`{"n":1}`)}
	put(result)
	put(result)
	if err := s.PutOutcome(t.Context(), skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: "one", Kind: skalds.OutcomeExit}}); !errors.Is(err, skalds.ErrInvalid) {
		t.Errorf("an exit without its attempt: %v, want invalid", err)
	}
}

func storeAudit(t *testing.T, s controller.Store) {
	for i, id := range []string{"one", "two", "one", ""} {
		e := controller.AuditEntry{At: int64(i), Who: "alice", Action: fmt.Sprint("action ", i), TaskID: id, After: json.RawMessage(`{"a":1}`)}
		if err := s.Audit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	actions := func(task string, limit int) []string {
		entries, err := s.Audits(t.Context(), task, limit)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, e := range entries {
			out = append(out, e.Action)
		}
		return out
	}
	same(t, "of one, newest first", actions("one", 10), []string{"action 2", "action 0"})
	same(t, "of all", actions("", 3), []string{"action 3", "action 2", "action 1"})
}

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

func storeNodes(t *testing.T, s controller.Store) {
	ctx := t.Context()
	n1 := skalds.Node{ID: "n1", Mode: skalds.NodeModeNode, Incarnation: 3, Partition: 7, LastHelloAt: 5, Workers: []string{"w@1.0.0@sha256:a"}}
	for _, n := range []skalds.Node{{ID: "n2", Mode: skalds.NodeModeEdge}, {ID: "n1"}, n1} {
		if err := s.SaveNode(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := s.Nodes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "nodes", nodes, []skalds.Node{n1, {ID: "n2", Mode: skalds.NodeModeEdge}})

	w := func(version, digest string) skalds.WorkerInfo {
		return skalds.WorkerInfo{Name: "w", Version: version, Digest: digest, Protocol: 1, Classes: []skalds.ClassInfo{{ClassName: "Recorder", Schema: json.RawMessage(`{"type":"object"}`)}}}
	}
	for _, c := range []struct {
		node    string
		workers []skalds.WorkerInfo
	}{
		{"n1", []skalds.WorkerInfo{w("1.0.0", "sha256:a"), w("0.9.0", "sha256:x")}},
		{"n2", []skalds.WorkerInfo{w("1.0.0", "sha256:a"), w("2.0.0", "sha256:b")}},
		{"n1", []skalds.WorkerInfo{w("1.0.0", "sha256:a"), w("2.0.0", "sha256:c")}}, // 0.9.0 is gone, 2.0.0 another file
	} {
		if err := s.SaveWorkers(ctx, c.node, c.workers); err != nil {
			t.Fatal(err)
		}
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "workers", workers, []controller.WorkerOnNodes{
		{WorkerInfo: w("1.0.0", "sha256:a"), Nodes: []string{"n1", "n2"}},
		{WorkerInfo: w("2.0.0", "sha256:b"), Nodes: []string{"n2"}},
		{WorkerInfo: w("2.0.0", "sha256:c"), Nodes: []string{"n1"}},
	})
	if err := s.SaveWorkers(ctx, "n2", nil); err != nil {
		t.Fatal(err)
	}
	if workers, err = s.Workers(ctx); err != nil || len(workers) != 2 {
		t.Errorf("after n2 has none: %d workers, %v; want 2", len(workers), err)
	}
}

func storeOffsets(t *testing.T, s controller.Store) {
	ctx := t.Context()
	if v, err := s.Offset(ctx, "reports"); err != nil || v != "" {
		t.Errorf("an unknown offset is %q, %v", v, err)
	}
	for _, v := range []string{"a:1", "a:2"} {
		if err := s.SaveOffset(ctx, "reports", v); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := s.Offset(ctx, "reports"); err != nil || v != "a:2" {
		t.Errorf("the offset is %q, %v; want a:2", v, err)
	}
	if g, err := s.Generation(ctx); err != nil || g < 1 {
		t.Errorf("the generation is %d, %v; want at least 1", g, err)
	}
}

func storeCancelled(t *testing.T, s controller.Store) {
	ctx, cancel := contextWithCancel(t)
	cancel()
	if _, _, err := s.Create(ctx, newTask("one", 1)); err == nil {
		t.Error("create under a cancelled context succeeded")
	}
	create(t, s, newTask("two", 1)) // and nothing is stuck
}

func storeClose(t *testing.T, s controller.Store) {
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers a ping")
	}
	if _, _, err := s.Create(t.Context(), newTask("one", 1)); err == nil {
		t.Error("a closed store takes a task")
	}
}
