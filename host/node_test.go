package host

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// runningHost is a host under test.
type runningHost struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan error
	err    error
}

// startHost runs a host and stops it at the end of the test.
func startHost(t testing.TB, cfg Config, d Deps) *runningHost {
	t.Helper()
	h, err := New(cfg, d, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &runningHost{t: t, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- h.Run(ctx); close(r.done) }()
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("host: %v", err)
		}
	})
	return r
}

// stop ends the host and waits for it.
func (r *runningHost) stop() error {
	r.cancel()
	select {
	case err, open := <-r.done:
		if open {
			r.err = err
		}
	case <-time.After(30 * time.Second):
		r.t.Fatal("the host does not stop")
	}
	return r.err
}

// nodeHost is a host in node mode on a bus in memory.
func nodeHost(t testing.TB) (*memoryBus, *machine, *runningHost) {
	t.Helper()
	m, b := newMachine(t), newMemoryBus()
	d := m.deps(t)
	d.Bus, d.Beats = b, b
	cfg := m.config()
	cfg.Edge = false
	h := startHost(t, cfg, d)
	b.greeted(t, 0)
	return b, m, h
}

func scriptSpec(id, class string, s script) skalds.Spec {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return skalds.Spec{ID: id, ClassName: class, Mode: skalds.ModePassive, IsPersistent: true, Attachments: b}
}

func command(spec skalds.Spec, epoch, revision int64) skalds.Command {
	return skalds.Command{TaskID: spec.ID, Generation: 1, Epoch: epoch, DesiredRevision: revision, Desired: skalds.DesiredRunning, Spec: &spec}
}

func TestACommandRunsAProcessToItsEnd(t *testing.T) {
	b, m, h := nodeHost(t)
	b.send(command(scriptSpec("a", "Script", script{Do: "result", N: 42}), 3, 1))
	eventually(t, "finished", soon, func() bool { return b.last("a").State == skalds.Finished })
	eventually(t, "the outcomes", soon, func() bool {
		return len(b.outcomes("a", skalds.OutcomeExit)) == 1 && len(b.outcomes("a", skalds.OutcomeResult)) == 1
	})
	if got := m.attempts("a"); len(got) != 1 || got[0] != "3/1 " {
		t.Errorf("attempts %q", got)
	}
	reps := b.reports("a")
	if reps[0].Ack != skalds.AckReceived || reps[1].State != skalds.Running || reps[1].Ack != skalds.AckApplied || reps[1].PID == 0 {
		t.Errorf("reports: %+v", reps)
	}
	for i := 1; i < len(reps); i++ {
		if reps[i].Seq <= reps[i-1].Seq {
			t.Errorf("report %d is not in order: %d after %d", i, reps[i].Seq, reps[i-1].Seq)
		}
	}
	exit := b.outcomes("a", skalds.OutcomeExit)[0].Exit
	if exit.Exit.Kind != skalds.ExitCompleted || exit.Node != "n1" || exit.Version != "scripted@1.0.0" || exit.LogTail == "" {
		t.Errorf("exit report: %+v %+v", exit, exit.Exit)
	}
	eventually(t, "the last heartbeat of the task", soon, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.ends["a"] == skalds.Finished
	})
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}

func TestTheWayToALimitIsInTheExitReport(t *testing.T) {
	b, _, _ := nodeHost(t)
	const limit = 128 << 20
	spec := scriptSpec("greedy", "Script", script{Do: "hoard"})
	spec.IsPersistent, spec.Retry.MaxAttempts, spec.Limits.MemoryBytes = false, 1, limit
	b.send(command(spec, 1, 1))
	failing := scriptSpec("modest", "Script", script{Do: "flaky", N: 1})
	failing.IsPersistent, failing.Retry.MaxAttempts = false, 1
	b.send(command(failing, 1, 1))
	for _, id := range []string{"greedy", "modest"} {
		eventually(t, "the exit report of "+id, 5*soon, func() bool { return len(b.outcomes(id, skalds.OutcomeExit)) == 1 })
	}
	if a := b.outcomes("modest", skalds.OutcomeExit)[0].Exit; a.Exit.Kind != skalds.ExitError || len(a.Usage) != 0 {
		t.Errorf("an attempt that ended by itself: %+v, %d points", a.Exit, len(a.Usage))
	}
	a := b.outcomes("greedy", skalds.OutcomeExit)[0].Exit
	n := len(a.Usage)
	if !a.Exit.ForMemory() || n < 2 || n > 60 {
		t.Fatalf("%+v, %d points", a.Exit, n)
	}
	first, last := a.Usage[0], a.Usage[n-1]
	if first.Usage.MemoryBytes >= limit || last.Usage.MemoryBytes <= limit*8/10 || first.At < a.StartedAt || last.At > a.EndedAt || first.At >= last.At {
		t.Errorf("attempt from %d to %d: from %+v to %+v", a.StartedAt, a.EndedAt, first, last)
	}
}

func TestAnEpochIsNotBegunTwice(t *testing.T) {
	b, m, _ := nodeHost(t)
	spec := scriptSpec("a", "Script", script{Do: "result", N: 42})
	b.send(command(spec, 3, 1))
	eventually(t, "finished", soon, func() bool { return b.last("a").State == skalds.Finished })
	told := len(b.reports("a"))
	b.send(command(spec, 3, 2)) // a wish that has crossed the word of the end
	eventually(t, "the end told again", soon, func() bool { return len(b.reports("a")) > told })
	if r := b.last("a"); r.State != skalds.Finished || r.Epoch != 3 {
		t.Errorf("answered %+v", r)
	}
	b.send(command(spec, 4, 3))
	eventually(t, "a run in the next epoch", soon, func() bool { return b.last("a").State == skalds.Finished && b.last("a").Epoch == 4 })
	if got := m.attempts("a"); len(got) != 2 || got[0] != "3/1 " || got[1] != "4/1 " {
		t.Errorf("attempts %q", got)
	}
}
