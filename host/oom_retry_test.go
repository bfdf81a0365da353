package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
)

const mebibyte = 1 << 20

// needsMuch is a task that takes 180 MiB beside what its worker needs, and may have 128 MiB at first.
func needsMuch(o *skalds.OOMRetry) skalds.Spec {
	spec := scriptSpec("a", "Script", script{Do: "take", N: 180})
	spec.Limits.MemoryBytes = 128 * mebibyte
	spec.Retry.OOM = o
	return spec
}

func (m *machine) letGo(t *testing.T, task string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, "recordings", task, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheNextAttemptHasMoreMemory(t *testing.T) {
	b, m, _ := nodeHost(t)
	b.send(command(needsMuch(&skalds.OOMRetry{Factor: 2, MaxMemoryBytes: 512 * mebibyte}), 3, 1))
	eventually(t, "the second attempt has what it needs", soon, func() bool { return m.exists("a", "taken-3-2") })
	eventually(t, "its reservation is in the heartbeat", soon, func() bool { return b.heartbeat("n1").Reserved.MemoryBytes == 256*mebibyte })
	m.letGo(t, "a")
	eventually(t, "finished", soon, func() bool { return b.last("a").State == skalds.Finished })
	if last := b.last("a"); last.MemoryFailures != 1 || last.MemoryLimit != 256*mebibyte || last.BudgetUsed != 0 || last.RowFailures != 0 || last.Attempt != 2 {
		t.Errorf("the last report: %+v", last)
	}
	between := slices.ContainsFunc(b.reports("a"), func(r skalds.Report) bool {
		return r.Phase == skalds.PhaseStarting && r.Exit != nil && r.Exit.ForMemory() && r.MemoryLimit == 256*mebibyte
	})
	if !between {
		t.Errorf("no report between the attempts tells of the raised limit: %+v", b.reports("a"))
	}
	eventually(t, "both exit reports", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 2 })
	first := b.outcomes("a", skalds.OutcomeExit)[0].Exit.Exit
	if !first.ForMemory() || first.Limit != skalds.LimitMemory || !strings.Contains(first.Message, "128 MiB") {
		t.Errorf("the first attempt ended by %+v", first)
	}
}

func TestTheBudgetForMemoryIsSpent(t *testing.T) {
	b, _, _ := nodeHost(t)
	spec := needsMuch(&skalds.OOMRetry{MaxAttempts: 2, Factor: 1})
	b.send(command(spec, 3, 1)) // persistent: any other failure would be retried for ever
	eventually(t, "failed", soon, func() bool { return b.last("a").State == skalds.Failed })
	if last := b.last("a"); last.MemoryFailures != 2 || last.MemoryLimit != 0 || last.BudgetUsed != 0 || !strings.Contains(last.Exception, "limit is 128 MiB") {
		t.Errorf("the last report: %+v", last)
	}
	eventually(t, "an exit report of every attempt", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 2 })
	for _, o := range b.outcomes("a", skalds.OutcomeExit) {
		if !o.Exit.Exit.ForMemory() {
			t.Errorf("attempt %d ended by %+v", o.Attempt, o.Exit.Exit)
		}
	}
}

// A controller has raised the limit on another node, or before the host was started anew.
func TestACommandBringsTheRaisedLimitAlong(t *testing.T) {
	b, m, _ := nodeHost(t)
	c := command(needsMuch(&skalds.OOMRetry{}), 5, 1)
	c.MemoryFailures, c.MemoryLimit = 2, 288*mebibyte
	b.send(c)
	eventually(t, "the first attempt has what it needs", soon, func() bool { return m.exists("a", "taken-5-1") })
	m.letGo(t, "a")
	eventually(t, "finished", soon, func() bool { return b.last("a").State == skalds.Finished })
	if last := b.last("a"); last.MemoryFailures != 2 || last.MemoryLimit != 288*mebibyte || last.Attempt != 1 {
		t.Errorf("the last report: %+v", last)
	}
}

func TestANodeWithTooLittleMemoryGivesTheTaskBack(t *testing.T) {
	b, _, _ := nodeHost(t)
	eventually(t, "the machine is measured", soon, func() bool { return b.heartbeat("n1").Capacity.MemoryBytes > 0 })
	big := scriptSpec("big", "Script", script{Do: "wait"})
	big.Resources.MemoryBytes = b.heartbeat("n1").Capacity.MemoryBytes
	b.send(command(big, 1, 1))
	eventually(t, "everything is reserved", soon, func() bool { return b.last("big").State == skalds.Running })
	b.send(command(needsMuch(&skalds.OOMRetry{Factor: 2}), 3, 1))
	eventually(t, "given back", soon, func() bool { return b.last("a").State == skalds.Created })
	last := b.last("a")
	if last.GoneFor != "memory" || last.MemoryFailures != 1 || last.BudgetUsed != 0 || last.MemoryLimit != 256*mebibyte || last.Exit == nil || !last.Exit.ForMemory() {
		t.Errorf("the last report: %+v", last)
	}
	eventually(t, "its exit report", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 1 })
}

func TestAnEdgeHostRemembersTheRaisedLimit(t *testing.T) {
	limits := []string{"limits: {memoryBytes: 128MiB}", "retry: {oom: {factor: 2, maxMemoryBytes: 512MiB}}"}
	m := newEdgeMachine(t, workersYML("  a:\n    className: Script\n    attachments: {do: take, n: 180}\n    "+strings.Join(limits, "\n    ")+"\n"))
	h := m.start(nil)
	eventually(t, "the second attempt has what it needs", soon, func() bool { return m.exists("a", "taken-1-2") })
	if rec := m.edgeRecord("a"); rec.MemoryFailures != 1 || rec.MemoryLimit != 256*mebibyte {
		t.Errorf("in the journal: %d ends, %d bytes", rec.MemoryFailures, rec.MemoryLimit)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	m.start(nil)
	eventually(t, "the first attempt after the restart has it too", soon, func() bool { return m.exists("a", "taken-2-1") })
	if got := m.attempts("a"); len(got) != 3 {
		t.Errorf("attempts %q", got)
	}
	m.write(workersYML("  a:\n    className: Script\n    attachments: {do: take, n: 180}\n    " + strings.Join(limits, "\n    ") + "\n    priority: 3\n"))
	eventually(t, "an entry that was changed begins with the limit that it says", soon, func() bool { return m.exists("a", "taken-3-2") })
	m.letGo(t, "a")
}

func TestMemoryRoom(t *testing.T) {
	r := newRoster(testLog(t))
	m := &memoryRoom{roster: r}
	if m.left("a") < 1<<60 {
		t.Error("nothing is known, and yet it is little")
	}
	m.observe(skalds.Capacity{MemoryBytes: 1000}, skalds.Usage{MemoryBytes: 100})
	for id, reserved := range map[string]int64{"a": 200, "b": 300} {
		r.runners[id] = &taskRunner{taskID: id, view: view{reserved: skalds.Resources{MemoryBytes: reserved}}}
	}
	if got := m.left("a"); got != 1000-100-300 {
		t.Errorf("left for a: %d", got)
	}
	m.observe(skalds.Capacity{MemoryBytes: 1000}, skalds.Usage{MemoryBytes: 200})
	if got := m.left("c"); got != 1000-130-500 {
		t.Errorf("left for another one, when others use more: %d", got)
	}
}
