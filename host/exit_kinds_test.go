package host

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// exitOf waits for the report of a task's first end.
func exitOf(t testing.TB, b *memoryBus, id string) skalds.Attempt {
	t.Helper()
	eventually(t, "exit report of "+id, soon, func() bool { return len(b.outcomes(id, skalds.OutcomeExit)) > 0 })
	return *b.outcomes(id, skalds.OutcomeExit)[0].Exit
}

// What ends a task by the host's own doing says so in its report, whether the worker obeyed or had to be killed.
func TestEndsThatAreTheHostsOwn(t *testing.T) {
	b, _, _ := nodeHost(t)
	type end struct {
		reason string
		kind   skalds.ExitKind
		state  skalds.State
		do     string
	}
	ends, pids := map[string]end{}, map[string]int{}
	for reason, kind := range map[string]skalds.ExitKind{
		"cancelled": skalds.ExitCancelled, "": skalds.ExitCancelled, "drain": skalds.ExitDrain, "preempted": skalds.ExitPreempted,
		"node_lost": skalds.ExitNodeLost, "rollout": skalds.ExitSuperseded,
	} {
		for _, do := range []string{"wait", "ignore", "leave"} {
			e := end{reason, kind, skalds.Created, do}
			if kind == skalds.ExitCancelled {
				e.state = skalds.Cancelled
			}
			id := "end-" + reason + "-" + do
			ends[id] = e
			b.send(command(scriptSpec(id, "Script", script{Do: do}), 1, 1))
		}
	}
	for id, e := range ends { // at once: those that are deaf cost the grace
		pids[id] = waitRunning(t, b, id, 1).PID
		b.send(gone(command(scriptSpec(id, "Script", script{Do: e.do}), 1, 1), e.reason, 2))
	}
	for id, e := range ends {
		t.Run(strings.TrimPrefix(id, "end-"), func(t *testing.T) {
			r := exitOf(t, b, id)
			x := r.Exit
			if x.Kind != e.kind || r.PID != pids[id] || x.Message == "" || x.Permanent {
				t.Errorf("got %+v of process %d, want %s of %d", x, r.PID, e.kind, pids[id])
			}
			if killed := e.do == "ignore"; killed != (x.Signal == "killed") || killed != (x.Code == -1) {
				t.Errorf("got %+v", x)
			}
			if last := b.last(id); last.State != e.state || last.BudgetUsed != 0 {
				t.Errorf("got %+v, want %s", last, e.state)
			}
		})
	}
}

func TestAWorkerThatSpeaksNoMore(t *testing.T) {
	b, m, _ := nodeHost(t)
	spec := scriptSpec("silent", "Script", script{Do: "become", Text: "exec sleep 300"})
	spec.IsPersistent, spec.Retry.MaxAttempts = false, 1
	b.send(command(spec, 1, 1))
	r := exitOf(t, b, "silent")
	if x := r.Exit; x.Kind != skalds.ExitRPCLost || x.Signal != "killed" || x.Code != -1 || !strings.Contains(x.Message, "the process lives, but its connection is lost") || r.PID <= 0 {
		t.Errorf("got %+v", x)
	}
	if syscall.Kill(r.PID, 0) == nil {
		t.Error("its process lives")
	}
	eventually(t, "failed", soon, func() bool { return b.last("silent").State == skalds.Failed })
	if n := len(m.attempts("silent")); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

func TestAWorkerThatNeverBegins(t *testing.T) {
	b, _, _ := nodeHost(t)
	spec := scriptSpec("slow", "Script", script{Do: "never begin"})
	spec.IsPersistent, spec.Retry.MaxAttempts = false, 1
	spec.Timeouts.Start = skalds.Duration(3 * time.Second) // in which it is launched even on a busy machine
	b.send(command(spec, 1, 1))
	x := exitOf(t, b, "slow").Exit
	if x.Kind != skalds.ExitStartTimeout || !strings.Contains(x.Message, "did not enter Main within 3s") || !strings.Contains(x.Stack, "scripted.Before") {
		t.Errorf("got %+v", x)
	}
}

// The end of its host, or of its host's lease, is what a task's report tells.
func TestEndsThatComeWithTheHosts(t *testing.T) {
	t.Run("stopped", func(t *testing.T) {
		b, _, h := nodeHost(t)
		for _, do := range []string{"wait", "ignore"} {
			b.send(command(scriptSpec(do, "Script", script{Do: do}), 1, 1))
			waitRunning(t, b, do, 1)
		}
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		for _, do := range []string{"wait", "ignore"} {
			if x := exitOf(t, b, do).Exit; x.Kind != skalds.ExitHostStop || (x.Signal == "killed") != (do == "ignore") {
				t.Errorf("%s: got %+v", do, x)
			}
		}
	})
	t.Run("cut off", func(t *testing.T) {
		m, b := newMachine(t), newMemoryBus()
		d := m.deps(t)
		d.Bus, d.Beats = b, b
		cfg := m.config()
		cfg.Edge, cfg.Heartbeat, cfg.Lease = false, 100*time.Millisecond, 2*time.Second
		startHost(t, cfg, d)
		b.greeted(t, 0)
		b.send(command(scriptSpec("a", "Script", script{Do: "wait"}), 1, 1))
		pid := waitRunning(t, b, "a", 1).PID
		b.setCut(true)
		eventually(t, "the kill", soon, func() bool { return syscall.Kill(pid, 0) != nil })
		b.setCut(false)
		if x := exitOf(t, b, "a").Exit; x.Kind != skalds.ExitLeaseLost || x.Signal != "killed" || x.Code != -1 || !strings.Contains(x.Message, "lease") {
			t.Errorf("got %+v", x)
		}
	})
}
