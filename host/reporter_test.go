package host

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

func TestReporterCoalescesWhileTheBusIsAway(t *testing.T) {
	b := newMemoryBus()
	b.setCut(true)
	j := openTestJournal(t, t.TempDir())
	r := newReporter("n1", j, b, b, time.Now, hclog.NewNullLogger())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })

	r.state(skalds.Report{TaskID: "a", Epoch: 1, DesiredRevision: 1, Ack: skalds.AckReceived})
	eventually(t, "the first failure", soon, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.failing && r.sending == 0
	})
	r.state(skalds.Report{TaskID: "a", Epoch: 1, DesiredRevision: 1, Ack: skalds.AckApplied, State: skalds.Running})
	for i := range 1000 {
		r.state(skalds.Report{TaskID: "a", Epoch: 1, DesiredRevision: 1, State: skalds.Running, Attempt: i})
	}
	o := exitOutcome("a", 1, 1)
	r.outcome(o)
	r.mu.Lock()
	queued := len(r.queue)
	r.mu.Unlock()
	if queued > 4 { // at most one that was on its way each time
		t.Errorf("%d messages wait", queued)
	}
	b.setCut(false)
	eventually(t, "all of it arrives", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 1 })
	if last := b.last("a"); last.Attempt != 999 || last.Ack != skalds.AckApplied {
		t.Errorf("%+v", last)
	}
	flushed, cancelFlush := context.WithTimeout(ctx, soon)
	defer cancelFlush()
	r.flush(flushed)
	if flushed.Err() != nil {
		t.Error("the queue does not become empty")
	}
}

func TestAMessageThatCannotBeSentHoldsUpNoOther(t *testing.T) {
	b := newMemoryBus()
	j := openTestJournal(t, t.TempDir())
	r := newReporter("n1", j, b, b, time.Now, hclog.NewNullLogger())
	huge := strings.Repeat("x", skalds.MaxBusMessageBytes)
	exit, result := exitOutcome("a", 1, 1), exitOutcome("b", 1, 1)
	exit.Exit.LogTail = huge
	result.Kind, result.Exit, result.Value = skalds.OutcomeResult, nil, json.RawMessage(strconv.Quote(huge))
	odd := skalds.Outcome{
		OutcomeKey: skalds.OutcomeKey{TaskID: "c", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeArtifact, Name: "x.mp4"},
		Artifact:   &skalds.Artifact{TaskID: "c", Path: "x.mp4", Meta: json.RawMessage("no JSON")},
	}
	final := skalds.Report{TaskID: "a", Epoch: 1, Attempt: 1, State: skalds.Failed, WorkerVersion: "1", Exit: &skalds.Exit{Kind: skalds.ExitError}}
	r.state(final)
	r.outcome(exit)
	r.outcome(result)
	r.outcome(odd)
	r.send(skalds.HostMessage{Report: &skalds.Report{TaskID: "d", Exit: &skalds.Exit{Stack: huge}}})
	r.send(skalds.HostMessage{Report: &skalds.Report{TaskID: "d", WorkerVersion: huge}}) // nothing of it can be left out
	r.outcome(exitOutcome("z", 1, 1))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })

	flushed, cancelFlush := context.WithTimeout(ctx, soon)
	defer cancelFlush()
	if r.flush(flushed); flushed.Err() != nil {
		t.Fatal("the queue does not become empty")
	}
	for task, kind := range map[string]skalds.OutcomeKind{"a": skalds.OutcomeExit, "c": skalds.OutcomeArtifact, "z": skalds.OutcomeExit} {
		if len(b.outcomes(task, kind)) != 1 {
			t.Errorf("the outcome of %s has not arrived", task)
		}
	}
	if got := b.outcomes("a", skalds.OutcomeExit); len(got) == 1 && (got[0].Exit.LogTail != "" || got[0].Exit.Exit.Kind != skalds.ExitCompleted) {
		t.Errorf("shortened to %+v", got[0].Exit)
	}
	if b.last("a").State != skalds.Failed || len(b.outcomes("b", skalds.OutcomeResult)) != 0 || len(b.reports("d")) != 1 {
		t.Errorf("%+v, %d results, %d reports", b.last("a"), len(b.outcomes("b", skalds.OutcomeResult)), len(b.reports("d")))
	}
	for len(b.commands) > 0 {
		j.acked((<-b.commands).Acks)
	}
	if left := j.unsent(); len(left) != 0 {
		t.Errorf("%d outcomes are left in the journal", len(left))
	}
}

func TestShareOut(t *testing.T) {
	machine := skalds.Capacity{CPUCores: 8, MemoryBytes: 1000}
	used, ours := skalds.Usage{CPUCores: 5, MemoryBytes: 600}, skalds.Usage{CPUCores: 3, MemoryBytes: 200}
	capacity, all, foreign := shareOut(1, machine, used, ours)
	if capacity != machine || all != used || foreign != (skalds.Usage{CPUCores: 2, MemoryBytes: 400}) {
		t.Errorf("whole: %v %v %v", capacity, all, foreign)
	}
	capacity, all, foreign = shareOut(0.5, machine, used, ours)
	if capacity != (skalds.Capacity{CPUCores: 4, MemoryBytes: 500}) || all != (skalds.Usage{CPUCores: 4, MemoryBytes: 400}) || foreign != (skalds.Usage{CPUCores: 1, MemoryBytes: 200}) {
		t.Errorf("half: %v %v %v", capacity, all, foreign)
	}
	if _, _, foreign := shareOut(1, machine, ours, used); foreign != (skalds.Usage{}) {
		t.Errorf("negative: %v", foreign)
	}
}

func TestAdvanced(t *testing.T) {
	for _, c := range []struct {
		last, now [2]int64
		want      bool
	}{
		{[2]int64{}, [2]int64{7, 3}, false},      // the first sighting
		{[2]int64{7, 3}, [2]int64{7, 3}, false},  // what somebody left behind
		{[2]int64{7, 3}, [2]int64{7, 4}, true},   // it lives
		{[2]int64{2, 3}, [2]int64{2, 4}, false},  // it is us
		{[2]int64{6, 9}, [2]int64{7, 10}, false}, // it has been restarted: look again
	} {
		if got := advanced(2, c.last, c.now); got != c.want {
			t.Errorf("%v → %v: %v", c.last, c.now, got)
		}
	}
}
