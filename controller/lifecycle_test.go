package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

const now = int64(1_800_000_000_000)

// taskIn is a task in a state as the store could hold it.
func taskIn(s skalds.State, change ...func(*skalds.Task)) *skalds.Task {
	t := &skalds.Task{
		Spec:            skalds.Spec{ID: "t", ClassName: "Demo", Mode: skalds.ModePassive, OnDisconnect: skalds.OnDisconnectStop, Attachments: json.RawMessage(`{"n":1}`)},
		LifecycleStatus: s, Epoch: 5, RunEpoch: 1, Revision: 9, Desired: skalds.DesiredRunning, DesiredRevision: 3, AckedRevision: 3, QueuedAt: now - 1000,
	}
	if s.OnNode() || s.Final() {
		t.Executor, t.Attempt = "n1", 2
	}
	switch {
	case s == skalds.Paused:
		t.Desired = skalds.DesiredPaused
	case s.Final():
		t.EndedAt = now - 500
	}
	if s == skalds.Running || s == skalds.Paused {
		t.PID, t.StartedAt, t.AppliedIncarnation, t.AppliedSeq = 77, now-2000, 4, 10
	}
	for _, c := range change {
		c(t)
	}
	return t
}

func noNode(t *skalds.Task)   { t.Executor = "" }
func gone(t *skalds.Task)     { t.Desired, t.AckedRevision = skalds.DesiredGone, 2 }
func raised(t *skalds.Task)   { t.MemoryFailures, t.MemoryLimit = 2, 512 }
func pausing(t *skalds.Task)  { t.Desired, t.AckedRevision = skalds.DesiredPaused, 2 }
func resuming(t *skalds.Task) { t.Desired, t.AckedRevision = skalds.DesiredRunning, 2 }
func keeps(t *skalds.Task)    { t.OnDisconnect = skalds.OnDisconnectKeep }
func active(t *skalds.Task) {
	t.Mode, t.OnDisconnect, t.BoundTo = skalds.ModeActive, skalds.OnDisconnectKeep, "n1"
}
func quarantine(t *skalds.Task) { t.Quarantined, t.NodeLosses = "it kills nodes", []int64{1, 2, 3} }

// everyTask is one of each kind that decisions tell apart.
func everyTask() map[string]*skalds.Task {
	out := map[string]*skalds.Task{"held back": taskIn(skalds.Paused, noNode), "quarantined": taskIn(skalds.Created, quarantine)}
	for _, s := range skalds.States() {
		out[string(s)] = taskIn(s)
		if s.OnNode() {
			for name, c := range map[string]func(*skalds.Task){"leaving": gone, "pausing": pausing, "resuming": resuming, "keep": keeps, "of a file": active} {
				out[string(s)+" "+name] = taskIn(s, c)
			}
		}
	}
	return out
}

// TestDecisionsKeepToTheTable plays every decision on every kind of task: whatever they do, the root's table allows it.
func TestDecisionsKeepToTheTable(t *testing.T) {
	from := origin{"n1", 4}
	decisions := map[string]func(*skalds.Task){
		"hand out":       func(t *skalds.Task) { handOut(t, "n2") },
		"cancel":         func(t *skalds.Task) { _ = cancel(t, now) },
		"pause":          func(t *skalds.Task) { _ = pause(t) },
		"resume":         func(t *skalds.Task) { _ = resume(t, now) },
		"retry":          func(t *skalds.Task) { _ = retry(t, now) },
		"update":         func(t *skalds.Task) { _ = updateAttachments(t, json.RawMessage(`{"n":2}`)) },
		"drain":          func(t *skalds.Task) { drain(t) },
		"node lost":      func(t *skalds.Task) { nodeLost(t, "is silent", now) },
		"process dead":   func(t *skalds.Task) { instanceDead(t, "n1", 5, false, now) },
		"process killed": func(t *skalds.Task) { instanceDead(t, "n1", 5, true, now) },
		"older one dead": func(t *skalds.Task) { instanceDead(t, "n1", 4, false, now) },
		"queue time-out": func(t *skalds.Task) { t.Timeouts.Queue = skalds.Duration(time.Millisecond); queueTimedOut(t, "", now) },
		"restarted": func(t *skalds.Task) {
			if t.LifecycleStatus.OnNode() && t.Executor != "" { // what every caller has asked before
				restarted(t, now)
			}
		},
		"entry removed": func(t *skalds.Task) {
			mergeEdge(t, "n1", &skalds.EdgeEntry{Spec: t.Spec, Removed: true, Epoch: t.Epoch}, now)
		},
	}
	for _, s := range append(skalds.States(), "") {
		for _, ack := range []skalds.Ack{"", skalds.AckReceived, skalds.AckApplied, skalds.AckRefused} {
			for _, goneFor := range []string{"", "move", "host_stop"} {
				for _, permanent := range []bool{false, true} {
					r := skalds.Report{TaskID: "t", Epoch: 5, DesiredRevision: 3, Seq: 11, Ack: ack, State: s, GoneFor: goneFor, Permanent: permanent, Attempt: 3}
					decisions[fmt.Sprintf("report %q %q %q %v", s, ack, goneFor, permanent)] = func(t *skalds.Task) { applyReport(t, from, &r, now) }
				}
			}
		}
	}
	for _, kind := range []skalds.OutcomeKind{skalds.OutcomeExit, skalds.OutcomeResult, skalds.OutcomeStage, skalds.OutcomeArtifact} {
		decisions["outcome "+string(kind)] = func(t *skalds.Task) {
			applyOutcome(t, &skalds.Outcome{
				OutcomeKey: skalds.OutcomeKey{TaskID: "t", Epoch: 5, Attempt: 2, Kind: kind, Name: "a"}, Value: json.RawMessage(`1`),
				Exit: &skalds.Attempt{Exit: &skalds.Exit{Kind: skalds.ExitSignal}},
			})
		}
	}
	for kind, before := range everyTask() {
		for name, decide := range decisions {
			after := before.Clone()
			decide(after)
			a, b := before.LifecycleStatus, after.LifecycleStatus
			fault := func(format string, args ...any) {
				t.Errorf("%s, %s: %s", kind, name, fmt.Sprintf(format, args...))
			}
			renewed := after.Epoch > before.Epoch
			switch {
			case a == b, a.CanBecome(b):
			case a == skalds.Assigning && skalds.Running.CanBecome(b): // the word that it runs was left out
			case renewed && b == skalds.Paused && a.CanBecome(skalds.Created): // back to Created, and held back there
			default:
				fault("%s became %s", a, b)
			}
			if a.Final() && b != a && after.Run == before.Run {
				fault("%s became %s without a retry", a, b)
			}
			if a.Final() && !renewed && (after.Epoch != before.Epoch || after.EndedAt != before.EndedAt) {
				fault("a final state was changed: epoch %d, ended at %d", after.Epoch, after.EndedAt)
			}
			if a.OnNode() && before.Executor != "" && after.Executor == "" && !renewed {
				fault("taken from its node under the same epoch")
			}
			if b == skalds.Assigning && a == skalds.Created && !renewed {
				fault("handed out under the same epoch")
			}
			if b.Final() && !a.Final() && after.EndedAt != now {
				fault("ended at %d", after.EndedAt)
			}
			if after.Epoch < before.Epoch || after.DesiredRevision < before.DesiredRevision || after.AckedRevision > after.DesiredRevision {
				fault("epoch %d, desired revision %d, acknowledged %d", after.Epoch, after.DesiredRevision, after.AckedRevision)
			}
			if after.Desired != before.Desired && after.DesiredRevision == before.DesiredRevision && after.Executor != "" && b.OnNode() {
				fault("desired %s under the same revision", after.Desired)
			}
			if (b == skalds.Created || heldBack(after)) && (after.Executor != "" || after.PID != 0 || after.Phase != "") && b != a {
				fault("waits with the rest of a run: %+v", after)
			}
		}
	}
}

// TestWhatUsersMayDo says what becomes of each state by each wish: the state and what is desired, "-" for no change, or the
// refusal.
func TestWhatUsersMayDo(t *testing.T) {
	wishes := map[string]func(*skalds.Task) error{
		"cancel": func(t *skalds.Task) error { return cancel(t, now) },
		"pause":  pause,
		"resume": func(t *skalds.Task) error { return resume(t, now) },
		"retry":  func(t *skalds.Task) error { return retry(t, now) },
		"update": func(t *skalds.Task) error { return updateAttachments(t, json.RawMessage(`{"n":2}`)) },
	}
	const no = "refused"
	for kind, want := range map[string]map[string]string{
		"Created":         {"cancel": "Cancelled Running", "pause": "Paused Paused", "resume": no, "retry": no, "update": "Created Running"},
		"quarantined":     {"cancel": "Cancelled Running", "pause": "Paused Paused", "resume": no, "retry": "Created Running", "update": "Created Running"},
		"held back":       {"cancel": "Cancelled Paused", "pause": no, "resume": "Created Running", "retry": no, "update": "Paused Paused"},
		"Assigning":       {"cancel": "Cancelled Gone", "pause": "Assigning Paused", "resume": no, "retry": no, "update": "Assigning Running"},
		"Running":         {"cancel": "Cancelled Gone", "pause": "Running Paused", "resume": no, "retry": no, "update": "Running Running"},
		"Running pausing": {"cancel": "Cancelled Gone", "pause": "-", "resume": "Running Running", "retry": no},
		"Running leaving": {"cancel": "Cancelled Gone", "pause": no, "resume": no, "retry": no},
		"Paused":          {"cancel": "Cancelled Gone", "pause": no, "resume": "Paused Running", "retry": no, "update": "Paused Paused"},
		"Paused resuming": {"cancel": "Cancelled Gone", "pause": "Paused Paused", "resume": "-", "retry": no},
		"Finished":        {"cancel": no, "pause": no, "resume": no, "retry": "Created Running", "update": no},
		"Failed":          {"cancel": no, "pause": no, "resume": no, "retry": "Created Running", "update": no},
		"Cancelled":       {"cancel": "-", "pause": no, "resume": no, "retry": "Created Running", "update": no},
	} {
		for wish, want := range want {
			task := everyTask()[kind]
			onNode := task.Executor != "" && task.LifecycleStatus.OnNode()
			before := task.DesiredRevision
			err := wishes[wish](task)
			got := fmt.Sprint(task.LifecycleStatus, " ", task.Desired)
			switch {
			case errors.Is(err, errNoChange):
				got = "-"
			case errors.Is(err, skalds.ErrConflict):
				got = no
			case err != nil:
				t.Errorf("%s, %s: %v", kind, wish, err)
			}
			if got != want {
				t.Errorf("%s, %s: %s, want %s", kind, wish, got, want)
			}
			if told := task.DesiredRevision > before; got != no && got != "-" && told != onNode {
				t.Errorf("%s, %s: its node is told: %v, want %v", kind, wish, told, onNode)
			}
		}
	}
	same := taskIn(skalds.Running)
	if err := updateAttachments(same, json.RawMessage(` { "n": 1 } `)); !errors.Is(err, errNoChange) {
		t.Errorf("the same attachments in other spelling: %v", err)
	}
}

func TestARetryIsAFreshRun(t *testing.T) {
	task := taskIn(skalds.Failed, func(t *skalds.Task) {
		t.BudgetUsed, t.RowFailures, t.Run, t.Attempt = 3, 3, 1, 3
		raised(t)
		t.Stages, t.Result, t.Error, t.Exception = map[string]json.RawMessage{"a": nil}, json.RawMessage("1"), "e", "x"
		t.LastExit, t.AvoidNode, t.Progress.Units = &skalds.Exit{}, "n1", 5
		t.Moves, t.Refusals = []int64{now}, []skalds.Refusal{{Node: "n1", At: now}}
	})
	if err := retry(task, now); err != nil {
		t.Fatal(err)
	}
	want := &skalds.Task{
		Spec: task.Spec, LifecycleStatus: skalds.Created, Desired: skalds.DesiredRunning, Revision: 9, Epoch: 6, RunEpoch: 6, Run: 2,
		QueuedAt: now, DesiredRevision: 3, AckedRevision: 3,
	}
	if a, b := mustJSON(t, task), mustJSON(t, want); a != b {
		t.Errorf("retried as\n%s, want\n%s", a, b)
	}
	busy := taskIn(skalds.Cancelled, gone)
	if err := retry(busy, now); err != nil || busy.BoundTo != "n1" {
		t.Errorf("bound to %q (%v), where its process may still be", busy.BoundTo, err)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNodeLost(t *testing.T) {
	const minute = int64(time.Minute / time.Millisecond)
	for _, tt := range []struct {
		name        string
		task        *skalds.Task
		taken       bool
		losses      int
		quarantined bool
		state       skalds.State
	}{
		{"running", taskIn(skalds.Running), true, 1, false, skalds.Created},
		{"keep", taskIn(skalds.Running, keeps), false, 0, false, skalds.Running},
		{"waiting", taskIn(skalds.Created), false, 0, false, skalds.Created},
		{"ended", taskIn(skalds.Finished), false, 0, false, skalds.Finished},
		{"not started", taskIn(skalds.Assigning), true, 0, false, skalds.Created},
		{"paused", taskIn(skalds.Paused), true, 1, false, skalds.Paused},
		{"being resumed", taskIn(skalds.Paused, resuming), true, 1, false, skalds.Created},
		{"leaving, was paused", taskIn(skalds.Paused, gone), true, 1, false, skalds.Paused},
		{"the third within minutes", taskIn(skalds.Running, func(t *skalds.Task) { t.NodeLosses = []int64{now - 9*minute, now - 4*minute} }), true, 3, true, skalds.Created},
		{"the third, long after the others", taskIn(skalds.Running, func(t *skalds.Task) { t.NodeLosses = []int64{now - 90*minute, now - 80*minute} }), true, 1, false, skalds.Created},
		{"after a long run", taskIn(skalds.Running, func(t *skalds.Task) {
			t.StartedAt, t.NodeLosses = now-11*minute, []int64{now - 20*minute, now - 15*minute}
		}), true, 0, false, skalds.Created},
	} {
		t.Run(tt.name, func(t *testing.T) {
			budget := tt.task.BudgetUsed
			taken := nodeLost(tt.task, "was not heard", now)
			if taken != tt.taken || len(tt.task.NodeLosses) != tt.losses || (tt.task.Quarantined != "") != tt.quarantined || tt.task.LifecycleStatus != tt.state {
				t.Errorf("taken %v, losses %d, quarantined %q, %s", taken, len(tt.task.NodeLosses), tt.task.Quarantined, tt.task.LifecycleStatus)
			}
			if tt.task.BudgetUsed != budget {
				t.Error("it cost the user's budget")
			}
			if taken && (tt.task.LastExit.Kind != skalds.ExitNodeLost || !strings.Contains(tt.task.Exception, "node n1 was not heard")) {
				t.Errorf("explained by %+v, %q", tt.task.LastExit, tt.task.Exception)
			}
		})
	}
	held := taskIn(skalds.Created, quarantine)
	if handOut(held, "n2") {
		t.Error("a task in quarantine was handed out")
	}
	if err := retry(held, now); err != nil || held.Quarantined != "" || !handOut(held, "n2") || held.Run != 0 {
		t.Errorf("released: %v, %+v", err, held)
	}
}

func TestHandOut(t *testing.T) {
	task := taskIn(skalds.Created, func(t *skalds.Task) { t.BoundTo, t.Attempt, t.RunEpoch, t.BudgetUsed = "n1", 4, 0, 2 })
	if !handOut(task, "n2") {
		t.Fatal("not handed out")
	}
	if task.Executor != "n2" || task.Epoch != 6 || task.RunEpoch != 6 || task.DesiredRevision != 4 || task.AckedRevision != 3 || task.BoundTo != "" || task.Attempt != 0 || task.BudgetUsed != 2 {
		t.Errorf("handed out as %+v", task)
	}
}

func TestDrain(t *testing.T) {
	for kind, want := range map[string]bool{
		"Created": false, "Assigning": true, "Running": true, "Running keep": true, "Running of a file": false, "Running leaving": false,
		"Paused": true, "held back": false, "Finished": false, "Cancelled": false,
	} {
		task := everyTask()[kind]
		if got := drain(task); got != want || got && (task.Desired != skalds.DesiredGone || task.DesiredRevision != 4) {
			t.Errorf("%s: drained %v, want %v: %+v", kind, got, want, task)
		}
	}
}

func TestQueueTimeOut(t *testing.T) {
	for _, tt := range []struct {
		limit  time.Duration
		waited int64
		state  skalds.State
		want   bool
	}{
		{0, 1_000_000, skalds.Created, false},
		{time.Second, 999, skalds.Created, false},
		{time.Second, 1000, skalds.Created, true},
		{time.Second, 5000, skalds.Running, false},
		{time.Second, 5000, skalds.Paused, false},
	} {
		task := taskIn(tt.state, func(t *skalds.Task) { t.Timeouts.Queue, t.QueuedAt = skalds.Duration(tt.limit), now-tt.waited })
		got := queueTimedOut(task, "no node has joined yet", now)
		if got != tt.want || got && (task.LifecycleStatus != skalds.Failed || !strings.Contains(task.Exception, "not placed within 1s: no node has joined yet")) {
			t.Errorf("%+v: %v, %s %q", tt, got, task.LifecycleStatus, task.Exception)
		}
	}
}

func TestMovesBackOff(t *testing.T) {
	task := taskIn(skalds.Created, func(t *skalds.Task) {
		t.Retry = skalds.Retry{InitialDelay: skalds.Duration(time.Second), MaxDelay: skalds.Duration(4 * time.Second), Factor: 2}
	})
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second} {
		movedAway(task, "n1", "full", now)
		if got := time.Duration(task.NextAttemptAt-now) * time.Millisecond; got != want || task.AvoidNode != "n1" {
			t.Errorf("move %d: node %q is not asked for %s, want %s", i+1, task.AvoidNode, got, want)
		}
	}
	later := now + 2*movesWindow.Milliseconds()
	movedAway(task, "n2", "", later)
	if got := time.Duration(task.NextAttemptAt-later) * time.Millisecond; got != time.Second || len(task.Moves) != 1 {
		t.Errorf("long after: %s, moves %v", got, task.Moves)
	}
	if len(task.Refusals) != 1 || task.Refusals[0] != (skalds.Refusal{Node: "n2", At: later}) {
		t.Errorf("long after: refusals %+v", task.Refusals)
	}
}

// What is remembered of moves is bounded, and however impatient a task is, one that nobody takes waits.
func TestMovesAreBounded(t *testing.T) {
	task := taskIn(skalds.Created, func(t *skalds.Task) {
		t.Retry = skalds.Retry{InitialDelay: 1, MaxDelay: 1, Factor: 1}
	})
	for i := range 1000 {
		at := now + int64(i)
		movedAway(task, fmt.Sprint("n", i%40), strings.Repeat("ä", i)+"\nmore", at)
		if r := requestOf(task, "", at); r.Held != (i+1 >= movesAtOnce) || r.Held && task.NextAttemptAt != at+1000 {
			t.Fatalf("move %d: held %v, until %d ms later", i+1, r.Held, task.NextAttemptAt-at)
		}
	}
	if len(task.Moves) != maxMoves || task.Moves[0] != now+1000-maxMoves || len(task.Refusals) != maxRefusals {
		t.Errorf("%d moves, %d refusals", len(task.Moves), len(task.Refusals))
	}
	for i, r := range task.Refusals {
		if r.At != now+1000-maxRefusals+int64(i) || r.Why != strings.Repeat("ä", maxWhyRunes-1)+"…" {
			t.Errorf("refusal %d: %+v", i, r)
		}
	}
	held := task.NextAttemptAt
	if r := requestOf(task, "", held); r.Held || r.AvoidWholly || r.Avoid[len(r.Avoid)-1] != task.AvoidNode {
		t.Errorf("when the wait is over: %+v", r)
	}
	toCreated(task, now+1001) // of the infrastructure
	if r := requestOf(task, "", now+1001); r.Held || r.AvoidWholly {
		t.Errorf("taken back from a lost node: %+v", r)
	}
}
