package controller

import (
	"encoding/json"
	"testing"

	"github.com/skalds-go/skalds"
)

func TestWhichReportsCount(t *testing.T) {
	n1 := origin{"n1", 4}
	for _, tt := range []struct {
		name string
		task *skalds.Task
		from origin
		r    skalds.Report
		want verdict
	}{
		{"the next one", taskIn(skalds.Running), n1, skalds.Report{Epoch: 5, Seq: 11, State: skalds.Finished}, reportApplied},
		{"the last applied", taskIn(skalds.Running), n1, skalds.Report{Epoch: 5, Seq: 10, State: skalds.Finished}, reportIgnored},
		{"an earlier one", taskIn(skalds.Running), n1, skalds.Report{Epoch: 5, Seq: 9, State: skalds.Finished}, reportIgnored},
		{"of a former incarnation", taskIn(skalds.Running), origin{"n1", 3}, skalds.Report{Epoch: 5, Seq: 99, State: skalds.Finished}, reportIgnored},
		{"of the next incarnation", taskIn(skalds.Running), origin{"n1", 5}, skalds.Report{Epoch: 5, Seq: 1, State: skalds.Finished}, reportApplied},
		{"an older epoch that ended", taskIn(skalds.Running), n1, skalds.Report{Epoch: 4, Seq: 11, State: skalds.Finished}, reportIgnored},
		{"an older epoch that still runs", taskIn(skalds.Running), n1, skalds.Report{Epoch: 4, Seq: 11, State: skalds.Running}, reportStale},
		{"an older epoch of a file", taskIn(skalds.Running, active), n1, skalds.Report{Epoch: 4, Seq: 11, State: skalds.Running}, reportIgnored},
		{"an epoch to come", taskIn(skalds.Running), n1, skalds.Report{Epoch: 6, Seq: 11, State: skalds.Running}, reportIgnored},
		{"another node that runs it", taskIn(skalds.Running), origin{"n2", 1}, skalds.Report{Epoch: 5, Seq: 1, State: skalds.Running}, reportStale},
		{"another node that ended it", taskIn(skalds.Running), origin{"n2", 1}, skalds.Report{Epoch: 5, Seq: 1, State: skalds.Finished}, reportIgnored},
		{"received only", taskIn(skalds.Assigning), n1, skalds.Report{Epoch: 5, DesiredRevision: 3, Seq: 11, Ack: skalds.AckReceived}, reportIgnored},
		{"a process after the end", taskIn(skalds.Finished), n1, skalds.Report{Epoch: 5, Seq: 11, State: skalds.Running}, reportStale},
		{"more of an end", taskIn(skalds.Finished), n1, skalds.Report{Epoch: 5, Seq: 11, State: skalds.Finished, Exit: &skalds.Exit{Kind: skalds.ExitCompleted}}, reportApplied},
	} {
		if got := applyReport(tt.task, tt.from, &tt.r, now); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestWhatReportsDo(t *testing.T) {
	from := origin{"n1", 4}
	for _, tt := range []struct {
		name  string
		task  *skalds.Task
		r     skalds.Report
		check func(t *skalds.Task) bool
	}{
		{"started", taskIn(skalds.Assigning, resuming), skalds.Report{Ack: skalds.AckApplied, State: skalds.Running, Attempt: 3, PID: 9, StartedAt: now, WorkerVersion: "demo@1.0.0"}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Running && t.Attempt == 3 && t.PID == 9 && t.StartedAt == now && t.WorkerVersion == "demo@1.0.0" && t.AckedRevision == 3
		}},
		{"between two attempts", taskIn(skalds.Running), skalds.Report{State: skalds.Running, Phase: skalds.PhaseBackoff, NextAttemptAt: now + 5, BudgetUsed: 1, RowFailures: 1, Exception: "exit: 1", Exit: &skalds.Exit{Kind: skalds.ExitExit, Code: 1}}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Running && t.Phase == skalds.PhaseBackoff && t.NextAttemptAt == now+5 && t.BudgetUsed == 1 && t.PID == 0 && t.LastExit.Code == 1
		}},
		{"a smaller budget of an older command", taskIn(skalds.Running, func(t *skalds.Task) { t.BudgetUsed = 2 }), skalds.Report{State: skalds.Running, BudgetUsed: 1}, func(t *skalds.Task) bool { return t.BudgetUsed == 2 }},
		{"finished before it was said to run", taskIn(skalds.Assigning), skalds.Report{State: skalds.Finished, Exit: &skalds.Exit{Kind: skalds.ExitCompleted}}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Finished && t.EndedAt == now && t.LastExit.Kind == skalds.ExitCompleted && t.Exception == ""
		}},
		{"failed", taskIn(skalds.Running, pausing), skalds.Report{State: skalds.Failed, Exception: "panic: no"}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Failed && t.Exception == "panic: no" && t.AckedRevision == t.DesiredRevision && t.Executor == "n1"
		}},
		{"paused", taskIn(skalds.Running, pausing), skalds.Report{Ack: skalds.AckApplied, State: skalds.Paused}, func(t *skalds.Task) bool { return t.LifecycleStatus == skalds.Paused && t.AckedRevision == 3 }},
		{"moved on after three failures", taskIn(skalds.Running), skalds.Report{State: skalds.Created, GoneFor: "move", BudgetUsed: 3}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Created && t.Epoch == 6 && t.AvoidNode == "n1" && t.NextAttemptAt > now && t.Executor == "" && t.BudgetUsed == 3
		}},
		{"an end for memory between two attempts", taskIn(skalds.Running), skalds.Report{State: skalds.Running, Phase: skalds.PhaseStarting, MemoryFailures: 1, MemoryLimit: 256}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Running && t.MemoryFailures == 1 && t.MemoryLimit == 256 && t.BudgetUsed == 0
		}},
		{"a lower limit of an older command", taskIn(skalds.Running, raised), skalds.Report{State: skalds.Running, MemoryFailures: 1, MemoryLimit: 256}, func(t *skalds.Task) bool {
			return t.MemoryFailures == 2 && t.MemoryLimit == 512
		}},
		{"a lower limit of an entry that was changed", taskIn(skalds.Running, raised, active), skalds.Report{State: skalds.Running}, func(t *skalds.Task) bool {
			return t.MemoryFailures == 0 && t.MemoryLimit == 0
		}},
		{"given back for memory", taskIn(skalds.Running), skalds.Report{State: skalds.Created, GoneFor: "memory", MemoryFailures: 1, MemoryLimit: 256, Exit: &skalds.Exit{Kind: skalds.ExitOOM}}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Created && t.Epoch == 6 && t.AvoidNode == "n1" && t.NextAttemptAt == 0 && t.Executor == "" &&
				t.BudgetUsed == 0 && t.MemoryFailures == 1 && t.MemoryLimit == 256 && t.LastExit.Kind == skalds.ExitOOM
		}},
		{"given back by a host that stops", taskIn(skalds.Running), skalds.Report{State: skalds.Created, GoneFor: "host_stop"}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Created && t.Epoch == 6 && t.AvoidNode == "" && t.BudgetUsed == 0
		}},
		{"paused, given back", taskIn(skalds.Paused), skalds.Report{State: skalds.Created, GoneFor: "host_stop"}, heldBack},
		{"paused, drained", taskIn(skalds.Paused, gone), skalds.Report{State: skalds.Created, GoneFor: "drain", Ack: skalds.AckApplied}, heldBack},
		{"being resumed, given back", taskIn(skalds.Paused, resuming), skalds.Report{State: skalds.Created, GoneFor: "host_stop"}, func(t *skalds.Task) bool { return t.LifecycleStatus == skalds.Created }},
		{"drained before it came", taskIn(skalds.Assigning, gone), skalds.Report{Ack: skalds.AckApplied}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Created && t.Epoch == 6 && t.Desired == skalds.DesiredRunning
		}},
		{"leaving, an answer to an earlier wish", taskIn(skalds.Running, gone), skalds.Report{DesiredRevision: 2, Ack: skalds.AckApplied}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Running && t.Epoch == 5 && t.AckedRevision == 2
		}},
		{"refused", taskIn(skalds.Assigning), skalds.Report{Ack: skalds.AckRefused, Reason: "full"}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Created && t.Epoch == 6 && t.AvoidNode == "n1" && t.Error == "full"
		}},
		{"refused for good", taskIn(skalds.Assigning), skalds.Report{Ack: skalds.AckRefused, Reason: "no such class", Permanent: true}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Failed && t.Exception == "no such class" && t.LastExit.Permanent && t.AckedRevision == 3
		}},
		{"a running one has left", taskIn(skalds.Running), skalds.Report{Ack: skalds.AckRefused, Reason: "it has left"}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Created && t.Epoch == 6 && t.AvoidNode == ""
		}},
		{"an overtaken wish was refused", taskIn(skalds.Running, pausing), skalds.Report{DesiredRevision: 2, Ack: skalds.AckRefused}, func(t *skalds.Task) bool { return t.LifecycleStatus == skalds.Running && t.Epoch == 5 }},
		{"cancelled, and gone now", taskIn(skalds.Cancelled, gone), skalds.Report{Ack: skalds.AckApplied, State: skalds.Cancelled, Exit: &skalds.Exit{Kind: skalds.ExitCancelled}}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Cancelled && t.AckedRevision == 3 && t.LastExit.Kind == skalds.ExitCancelled && t.EndedAt == now-500
		}},
		{"cancelled, though it finished first", taskIn(skalds.Cancelled, gone), skalds.Report{State: skalds.Finished}, func(t *skalds.Task) bool { return t.LifecycleStatus == skalds.Cancelled && t.AckedRevision == 3 }},
		{"finished, and how far", taskIn(skalds.Running, begun), skalds.Report{State: skalds.Finished, Attempt: 1, Progress: skalds.Progress{Percent: 100, Units: 1500, Unit: "frames"}}, func(t *skalds.Task) bool {
			return t.Progress == skalds.Progress{Percent: 100, Units: 1500, Unit: "frames"}
		}},
		{"finished without a word of progress", taskIn(skalds.Running, begun), skalds.Report{State: skalds.Finished, Attempt: 1}, func(t *skalds.Task) bool { return t.Progress.Percent == 0.3 }},
		{"a second attempt begins", taskIn(skalds.Running, begun), skalds.Report{State: skalds.Running, Attempt: 2}, func(t *skalds.Task) bool { return t.Progress == skalds.Progress{} }},
		{"cancelled, and how far it came", taskIn(skalds.Cancelled, gone, begun), skalds.Report{State: skalds.Cancelled, Attempt: 1, Progress: skalds.Progress{Percent: 40}}, func(t *skalds.Task) bool {
			return t.LifecycleStatus == skalds.Cancelled && t.Progress.Percent == 40
		}},
	} {
		r := tt.r
		r.Epoch, r.Seq = 5, 11
		if r.DesiredRevision == 0 {
			r.DesiredRevision = 3
		}
		if got := applyReport(tt.task, from, &r, now); got != reportApplied || !tt.check(tt.task) {
			t.Errorf("%s: verdict %d, %s", tt.name, got, mustJSON(t, tt.task))
		}
		if repeated := tt.task.Clone(); applyReport(repeated, from, &r, now) == reportApplied {
			t.Errorf("%s: applied twice", tt.name)
		}
	}
}

func begun(t *skalds.Task) {
	t.Attempt, t.Progress = 1, skalds.Progress{Percent: 0.3, Units: 5, Unit: "frames"}
}

func TestOutcomes(t *testing.T) {
	outcome := func(epoch int64, kind skalds.OutcomeKind, value string) skalds.Outcome {
		return skalds.Outcome{
			OutcomeKey: skalds.OutcomeKey{TaskID: "t", Epoch: epoch, Attempt: 2, Kind: kind, Name: "stage"}, Value: json.RawMessage(value),
			Exit: &skalds.Attempt{Exit: &skalds.Exit{Kind: skalds.ExitSignal}},
		}
	}
	for _, tt := range []struct {
		name  string
		task  *skalds.Task
		o     skalds.Outcome
		taken bool
	}{
		{"a result", taskIn(skalds.Running), outcome(5, skalds.OutcomeResult, "1"), true},
		{"a result after the end", taskIn(skalds.Finished), outcome(5, skalds.OutcomeResult, "1"), true},
		{"the same result again", taskIn(skalds.Finished, func(t *skalds.Task) { t.Result = json.RawMessage(" 1") }), outcome(5, skalds.OutcomeResult, "1"), false},
		{"a late result of an earlier epoch", taskIn(skalds.Running, func(t *skalds.Task) { t.Result = json.RawMessage("2") }), outcome(4, skalds.OutcomeResult, "1"), false},
		{"a result of an earlier run", taskIn(skalds.Running, func(t *skalds.Task) { t.RunEpoch = 5 }), outcome(4, skalds.OutcomeResult, "1"), false},
		{"a stage", taskIn(skalds.Running), outcome(5, skalds.OutcomeStage, "1"), true},
		{"a stage of an earlier epoch", taskIn(skalds.Running), outcome(4, skalds.OutcomeStage, "1"), true},
		{"a known stage", taskIn(skalds.Running, func(t *skalds.Task) { t.Stages = map[string]json.RawMessage{"stage": nil} }), outcome(5, skalds.OutcomeStage, "1"), false},
		{"a stage after the end", taskIn(skalds.Failed), outcome(5, skalds.OutcomeStage, "1"), false},
		{"an exit that nobody told", taskIn(skalds.Failed), outcome(5, skalds.OutcomeExit, ""), true},
		{"an exit that is known", taskIn(skalds.Failed, func(t *skalds.Task) { t.LastExit = &skalds.Exit{} }), outcome(5, skalds.OutcomeExit, ""), false},
		{"an exit of an earlier epoch", taskIn(skalds.Running), outcome(4, skalds.OutcomeExit, ""), false},
		{"an artifact", taskIn(skalds.Running), outcome(5, skalds.OutcomeArtifact, ""), false},
	} {
		state := tt.task.LifecycleStatus
		if got := applyOutcome(tt.task, &tt.o); got != tt.taken || tt.task.LifecycleStatus != state {
			t.Errorf("%s: the task has changed: %v, want %v", tt.name, got, tt.taken)
		}
	}
}
