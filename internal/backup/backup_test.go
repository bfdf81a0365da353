package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
	"github.com/skalds-go/skalds/internal/backup"
	"github.com/skalds-go/skalds/internal/sqlite"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func open(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "skalds.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

const tasks = 1200 // more than two pages

// fill puts something of everything into a store.
func fill(t *testing.T, s controller.Store) {
	t.Helper()
	ctx := t.Context()
	for i := range tasks {
		task := &skalds.Task{
			Spec: skalds.Spec{
				ID: fmt.Sprintf("task %d/ü", i), ClassName: "C", Mode: skalds.ModePassive, Priority: i % 7, CreateDateTime: int64(1000 + i/3),
				Attachments: json.RawMessage(`{"url":"rtsp://user:secret@camera","n":` + fmt.Sprint(i) + `}`), Labels: map[string]string{"zone": "a"},
			},
			LifecycleStatus: []skalds.State{skalds.Created, skalds.Running, skalds.Finished}[i%3], Epoch: int64(i), Desired: skalds.DesiredRunning,
			DesiredRevision: 4, AckedRevision: 3, UpdateDateTime: 5,
		}
		if i%3 > 0 {
			task.Executor = "n1"
		}
		if i%3 == 2 {
			task.EndedAt, task.Result = 77, json.RawMessage(`[1,2]`)
		}
		if i%5 == 0 {
			task.IdempotencyKey, task.IdempotencyHash = fmt.Sprint("key", i), "h"
		}
		if _, created, err := s.Create(ctx, task); err != nil || !created {
			t.Fatal(created, err)
		}
	}
	id := "task 1/ü"
	for attempt := 1; attempt <= 2; attempt++ {
		a := &skalds.Attempt{TaskID: id, Epoch: 1, Attempt: attempt, Node: "n1", Version: "w@1.0.0", StartedAt: int64(10 * attempt), LogTail: "end\n"}
		if attempt == 1 {
			a.EndedAt, a.Exit = 15, &skalds.Exit{Kind: skalds.ExitSignal, Message: "boom"}
		}
		key := skalds.OutcomeKey{TaskID: id, Epoch: 1, Attempt: attempt, Kind: skalds.OutcomeExit}
		if err := s.PutOutcome(ctx, skalds.Outcome{OutcomeKey: key, Exit: a}); err != nil {
			t.Fatal(err)
		}
	}
	for i, path := range []string{"/a.mp4", "/b.mp4", "/a.mp4"} {
		a := &skalds.Artifact{TaskID: id, Node: "n1", Epoch: 1, Kind: "recording", Path: path, StartedAt: int64(20 + i), Bytes: int64(i + 1)}
		key := skalds.OutcomeKey{TaskID: id, Epoch: 1, Attempt: i + 1, Kind: skalds.OutcomeArtifact, Name: path}
		if err := s.PutOutcome(ctx, skalds.Outcome{OutcomeKey: key, Artifact: a}); err != nil {
			t.Fatal(err)
		}
	}
	samples := []skalds.UsageSample{{At: 3_600_000, Usage: skalds.Usage{CPUCores: 0.25, MemoryBytes: 1 << 20}, Span: 60_000}, {At: 7_200_000, Progress: 12.5}}
	if err := s.PutUsage(ctx, []controller.TaskUsage{{TaskID: id, Samples: samples}}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		e := controller.AuditEntry{At: int64(i / 4), Who: "somebody", Action: "cancel", TaskID: id, Before: json.RawMessage(`{"n":1}`)}
		if i%2 == 0 {
			e.TaskID, e.NodeID = "", "n1"
		}
		e.Action += fmt.Sprint(i)
		if err := s.Audit(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	workers := []skalds.WorkerInfo{
		{Name: "w", Version: "1.0.0", Digest: "sha256:1", Protocol: 1, Classes: []skalds.ClassInfo{{ClassName: "C"}}},
		{Name: "v", Version: "2.0.0", Digest: "sha256:2", Protocol: 1, Classes: []skalds.ClassInfo{{ClassName: "D"}}, Conflict: "two"},
	}
	for i, id := range []string{"n1", "n2"} {
		if err := s.SaveNode(ctx, skalds.Node{ID: id}); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveWorkers(ctx, id, workers[:2-i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SaveProfiles(ctx, []controller.StoredProfile{{ClassName: "C", Worker: "w@1.0.0", UpdatedAt: 9, Doc: json.RawMessage(`{"p":0.5}`)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveOffset(ctx, "reports", "123"); err != nil {
		t.Fatal(err)
	}
}

// contents is everything that can be asked of a store.
type contents struct {
	Tasks     []*skalds.Task
	Attempts  []skalds.Attempt
	Artifacts []skalds.Artifact
	Usage     []skalds.UsageSample
	Audits    []controller.AuditEntry
	OfTask    []controller.AuditEntry
	Nodes     []skalds.Node
	Workers   []controller.WorkerOnNodes
	Profiles  []controller.StoredProfile
	Queue     []*skalds.Task
	Unacked   []*skalds.Task
}

func all(ctx context.Context, s controller.Store) contents {
	const id = "task 1/ü"
	return contents{
		must(s.Tasks(ctx, controller.TaskFilter{Limit: 10 * tasks})).Items, must(s.Attempts(ctx, id)), must(s.Artifacts(ctx, id, 100)), must(s.Usage(ctx, id)),
		must(s.Audits(ctx, "", 100)), must(s.Audits(ctx, id, 100)), must(s.Nodes(ctx)), must(s.Workers(ctx)), must(s.Profiles(ctx)),
		must(s.Queue(ctx, 10*tasks)), must(s.Unacked(ctx, 10*tasks)),
	}
}

func write(t *testing.T, s controller.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	counts, err := backup.Write(t.Context(), &b, s, backup.Header{Program: "v1", From: "SQLite", CreatedAt: 5})
	if err != nil {
		t.Fatal(err)
	}
	want := backup.Counts{"tasks": tasks, "outcomes": 4, "usage": 1, "audits": 20, "nodes": 2, "workers": 2, "learned": 1}
	if d := cmp.Diff(want, counts); d != "" {
		t.Errorf("counts: %s", d)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	ctx := t.Context()
	from := open(t)
	fill(t, from)
	for range 3 {
		if _, err := from.RaiseGeneration(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
	b := write(t, from)
	h, counts, err := backup.Verify(bytes.NewReader(b))
	if err != nil || h.Generation != 4 || h.Program != "v1" || h.From != "SQLite" || h.CreatedAt != 5 || counts["tasks"] != tasks {
		t.Fatalf("%+v, %v, %v", h, counts, err)
	}
	to := open(t)
	if empty, err := backup.Empty(ctx, to); err != nil || !empty {
		t.Errorf("empty: %v, %v", empty, err)
	}
	h, _, err = backup.Restore(ctx, bytes.NewReader(b), to)
	if err != nil {
		t.Fatal(err)
	}
	if empty, err := backup.Empty(ctx, to); err != nil || empty {
		t.Errorf("empty: %v, %v", empty, err)
	}
	want := all(ctx, from)
	for _, list := range [][]*skalds.Task{want.Tasks, want.Queue, want.Unacked} {
		forgotten(list)
	}
	if d := cmp.Diff(want, all(ctx, to)); d != "" {
		t.Errorf("what was restored differs: %s", d)
	}
	if g, err := to.Generation(ctx); err != nil || g != h.Generation || g <= 4+900 {
		t.Errorf("generation %d, %v", g, err)
	}
	if offset, err := to.Offset(ctx, "reports"); err != nil || offset != "" {
		t.Errorf("how far the bus was read was taken along: %q, %v", offset, err)
	}
	again := write(t, to)
	if lines(again)[1] != lines(b)[1] {
		t.Error("a backup of what was restored differs")
	}

	if err := to.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	if empty, err := backup.Empty(ctx, to); err != nil || !empty {
		t.Errorf("cleared: %v, %v", empty, err)
	}
	if _, _, err := backup.Restore(ctx, bytes.NewReader(b), to); err != nil {
		t.Errorf("into a store that was cleared: %v", err)
	}
	if g, err := to.Generation(ctx); err != nil || g <= h.Generation {
		t.Errorf("the generation is %d after %d: %v", g, h.Generation, err)
	}
}

// What is written from one kind of store goes into another.
// forgotten adds what a restore adds to the epochs of tasks that are on no node: more may have been used since.
func forgotten(tasks []*skalds.Task) {
	for _, t := range tasks {
		if t.Executor == "" || !t.LifecycleStatus.OnNode() {
			t.Epoch += 1000
		}
	}
}

func TestFromAnotherKindOfStore(t *testing.T) {
	from := controllertest.NewStore()
	fill(t, from)
	var b bytes.Buffer
	if _, err := backup.Write(t.Context(), &b, from, backup.Header{}); err != nil {
		t.Fatal(err)
	}
	to := open(t)
	if _, _, err := backup.Restore(t.Context(), &b, to); err != nil {
		t.Fatal(err)
	}
	have, want := all(t.Context(), to), all(t.Context(), from)
	forgotten(want.Tasks)
	if d := cmp.Diff(want.Tasks, have.Tasks); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want.Attempts, have.Attempts); d != "" {
		t.Error(d)
	}
}

func lines(b []byte) []string { return strings.SplitAfter(string(b), "\n") }

func TestWhatIsNoBackup(t *testing.T) {
	s := open(t)
	fill(t, s)
	good := write(t, s)
	all := lines(good) // the last one is empty
	without := func(i int) string { return strings.Join(append(append([]string{}, all[:i]...), all[i+1:]...), "") }
	last := len(all) - 2
	for name, tt := range map[string]struct{ text, want string }{
		"empty":                   {"", "it is empty"},
		"something else":          {"SQLite format 3\x00\n", "no backup of skalds"},
		"another JSON":            {`{"format":"x"}` + "\n", "no backup of skalds"},
		"newer format":            {strings.Replace(string(good), `"version":1,`, `"version":2,`, 1), "has format 2 and was written by skalds v1"},
		"cut off in a line":       {string(good[:len(good)/2]), "is cut off after line"},
		"cut off between lines":   {strings.Join(all[:100], ""), "is cut off after line 100"},
		"cut off before its end":  {strings.Join(all[:last], ""), "is cut off after line"},
		"cut off in its end":      {string(good[:len(good)-1]), "is cut off"},
		"a record is missing":     {without(7), "not as it was written: its digest"},
		"a byte has changed":      {strings.Replace(string(good), "somebody", "somebodz", 1), "not as it was written: its digest"},
		"the header has changed":  {strings.Replace(string(good), `"generation":1`, `"generation":2`, 1), "not as it was written: its digest"},
		"another digest":          {strings.Replace(string(good), `"sha256":"`, `"sha256":"0`, 1), "not as it was written: its digest"},
		"two records in one":      {all[0] + `{"node":{"id":"a"},"audit":{}}` + "\n", "line 2 of the backup is not one record"},
		"none":                    {all[0] + "{}\n", "line 2 of the backup is not one record"},
		"an unknown kind":         {all[0] + `{"secret":{}}` + "\n", "line 2 of the backup is no record"},
		"no JSON":                 {all[0] + "hello\n", "line 2 of the backup is no record"},
		"more behind the end":     {string(good) + all[1], "goes on behind its end"},
		"counts that do not fit":  {strings.Replace(string(good), `"audits":20`, `"audits":21`, 1), "should hold"},
		"an end that is a record": {strings.Replace(string(good), `{"end"`, `{"node":{"id":"x"},"end"`, 1), "is not one record"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := backup.Verify(strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if skalds.CodeOf(err) != skalds.CodeInvalid {
				t.Errorf("its code is %s", skalds.CodeOf(err))
			}
		})
	}
}

// A store that fails fails the restore, however many records are under way.
func TestAStoreThatFails(t *testing.T) {
	from := open(t)
	fill(t, from)
	b := write(t, from)
	to := &failing{Store: open(t)}
	if _, _, err := backup.Restore(t.Context(), bytes.NewReader(b), to); !errors.Is(err, errFull) {
		t.Errorf("restored: %v", err)
	}
	if g, err := to.Generation(t.Context()); err != nil || g != 1 {
		t.Errorf("the generation of a store that is not whole: %d, %v", g, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := backup.Restore(ctx, bytes.NewReader(b), open(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
	if _, err := backup.Write(t.Context(), &narrow{left: 5000}, from, backup.Header{}); !errors.Is(err, errFull) {
		t.Errorf("written to a full disk: %v", err)
	}
}

var errFull = errors.New("the disk is full")

type failing struct{ *sqlite.Store }

func (s *failing) Create(ctx context.Context, t *skalds.Task) (*skalds.Task, bool, error) {
	if t.ID == "task 600/ü" {
		return nil, false, errFull
	}
	return s.Store.Create(ctx, t)
}

type narrow struct{ left int }

func (n *narrow) Write(b []byte) (int, error) {
	if n.left -= len(b); n.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}
