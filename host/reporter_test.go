package host

import (
	"context"
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
