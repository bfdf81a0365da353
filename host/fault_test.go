package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// waitRunning waits until a task's Main has been entered under the attempt, and returns its process.
func waitRunning(t testing.TB, b *memoryBus, task string, attempt int) skalds.Report {
	t.Helper()
	var r skalds.Report
	eventually(t, fmt.Sprintf("attempt %d of %s", attempt, task), soon, func() bool {
		r = b.last(task)
		return r.State == skalds.Running && r.Phase == skalds.PhaseNone && r.Attempt == attempt && r.PID > 0
	})
	return r
}

func gone(command skalds.Command, reason string, revision int64) skalds.Command {
	command.Desired, command.Reason, command.DesiredRevision, command.Spec = skalds.DesiredGone, reason, revision, nil
	return command
}

func TestAKilledWorkerIsBackAtOnce(t *testing.T) {
	b, m, _ := nodeHost(t)
	c := command(scriptSpec("a", "Script", script{Do: "wait"}), 1, 1)
	b.send(c)
	r := waitRunning(t, b, "a", 1)
	eventually(t, "the first attempt in Main", soon, func() bool { return len(m.attempts("a")) == 1 })
	killed := time.Now()
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second attempt in Main", soon, func() bool { return len(m.attempts("a")) == 2 })
	took := time.Since(killed)
	t.Logf("killed → next attempt in Main: %s", took)
	if took > 5*200*time.Millisecond {
		t.Errorf("the next attempt was in Main after %s, want ≤ 200ms (asserted at five times)", took)
	}
	r = waitRunning(t, b, "a", 2)
	if r.BudgetUsed != 1 || r.RowFailures != 1 {
		t.Errorf("%+v", r)
	}
	eventually(t, "exit report", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 1 })
	exit := b.outcomes("a", skalds.OutcomeExit)[0].Exit.Exit
	if exit.Kind != skalds.ExitSignal || exit.Signal != "killed" {
		t.Errorf("%+v", exit)
	}
	// The second failure waits about a second: cancel in the back-off.
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "back-off", soon, func() bool { return b.last("a").Phase == skalds.PhaseBackoff && b.last("a").NextAttemptAt > 0 })
	b.send(gone(c, "cancelled", 2))
	eventually(t, "cancelled", soon, func() bool { return b.last("a").State == skalds.Cancelled })
	if got := b.last("a"); got.Ack != skalds.AckApplied || got.DesiredRevision != 2 {
		t.Errorf("%+v", got)
	}
	if n := len(m.attempts("a")); n != 2 {
		t.Errorf("%d attempts", n)
	}
}

func TestHowFailuresEnd(t *testing.T) {
	b, m, _ := nodeHost(t)
	for name, c := range map[string]struct {
		do       script
		spec     func(*skalds.Spec)
		state    skalds.State
		attempts int
		kind     skalds.ExitKind
		message  string
	}{
		"error":     {do: script{Do: "error", Text: "no luck"}, state: skalds.Failed, attempts: 2, kind: skalds.ExitError, message: "no luck"},
		"panic":     {do: script{Do: "panic", Text: "boom"}, state: skalds.Failed, attempts: 2, kind: skalds.ExitPanic, message: "boom"},
		"exit":      {do: script{Do: "exit", Code: 7}, state: skalds.Failed, attempts: 2, kind: skalds.ExitExit},
		"permanent": {do: script{Do: "permanent", Text: "never"}, state: skalds.Failed, attempts: 1, kind: skalds.ExitError, message: "never"},
		"flaky":     {do: script{Do: "flaky", N: 1}, state: skalds.Finished, attempts: 2, kind: skalds.ExitCompleted},
		"run time-out": {
			do: script{Do: "wait"}, spec: func(s *skalds.Spec) { s.Timeouts.Run = skalds.Duration(200 * time.Millisecond) },
			state: skalds.Failed, attempts: 2, kind: skalds.ExitRunTimeout, message: "200ms",
		},
		"stall":        {do: script{Do: "stall"}, state: skalds.Failed, attempts: 2, kind: skalds.ExitStall, message: "frames"},
		"another unit": {do: script{Do: "stall beside"}, state: skalds.Failed, attempts: 2, kind: skalds.ExitStall, message: "frames"},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			spec := scriptSpec(id, "Script", c.do)
			spec.IsPersistent, spec.Retry.MaxAttempts = false, 2
			if c.spec != nil {
				c.spec(&spec)
			}
			b.send(command(spec, 1, 1))
			eventually(t, "its end", soon, func() bool { return b.last(id).State.Final() })
			last := b.last(id)
			if last.State != c.state || last.Exit.Kind != c.kind || !strings.Contains(last.Exit.Message, c.message) {
				t.Errorf("%+v exit %+v", last, last.Exit)
			}
			if got := len(m.attempts(id)); got != c.attempts {
				t.Errorf("%d attempts, want %d", got, c.attempts)
			}
			eventually(t, "exit reports", soon, func() bool { return len(b.outcomes(id, skalds.OutcomeExit)) == c.attempts })
			stack := c.kind == skalds.ExitPanic || c.kind == skalds.ExitStall || c.kind == skalds.ExitRunTimeout
			if stack && !strings.Contains(last.Exit.Stack, "main_test.go") {
				t.Errorf("stack: %q", last.Exit.Stack)
			}
		})
	}
}

func TestALongErrorEndsItsTaskAndHoldsUpNoOther(t *testing.T) {
	b, _, _ := nodeHost(t)
	b.send(command(scriptSpec("long", "Script", script{Do: "long", N: 200 << 10}), 1, 1))
	eventually(t, "failed", soon, func() bool { return b.last("long").State == skalds.Failed })
	b.send(command(scriptSpec("next", "Script", script{Do: "finish"}), 1, 1))
	eventually(t, "the next task", soon, func() bool { return b.last("next").State == skalds.Finished })
	eventually(t, "exit report", soon, func() bool { return len(b.outcomes("long", skalds.OutcomeExit)) == 1 })
	r, exit := b.last("long"), b.outcomes("long", skalds.OutcomeExit)[0].Exit.Exit
	for name, text := range map[string]string{"message": exit.Message, "exception": r.Exception, "message of the report": r.Exit.Message} {
		if len(text) > maxText || !strings.HasSuffix(text, "xx…") {
			t.Errorf("the %s has %d bytes and ends in %q", name, len(text), text[max(0, len(text)-8):])
		}
	}
	for _, r := range b.reports("long") {
		if len(r.Error) > maxText {
			t.Errorf("a report has an error of %d bytes", len(r.Error))
		}
	}
}

func TestAFinishedStageIsNotRunAgain(t *testing.T) {
	b, m, _ := nodeHost(t)
	b.send(command(scriptSpec("a", "Script", script{Do: "stages"}), 1, 1))
	eventually(t, "finished", soon, func() bool { return b.last("a").State == skalds.Finished })
	if !m.exists("a", "stage-1") || m.exists("a", "stage-2") {
		t.Error("the stage was run by the second attempt")
	}
	eventually(t, "stage outcome", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeStage)) == 1 })
}

func TestThreeFailuresInARowGiveTheTaskBack(t *testing.T) {
	b, m, _ := nodeHost(t)
	spec := scriptSpec("a", "Script", script{Do: "exit", Code: 3})
	spec.Retry.InitialDelay = skalds.Duration(10 * time.Millisecond)
	b.send(command(spec, 1, 1))
	eventually(t, "given back", soon, func() bool { return b.last("a").State == skalds.Created })
	if r := b.last("a"); r.GoneFor != "move" || r.RowFailures != 3 || r.BudgetUsed != 3 {
		t.Errorf("%+v", r)
	}
	if n := len(m.attempts("a")); n != 3 {
		t.Errorf("%d attempts", n)
	}
}

// isolationRefused is why this machine does not run a task as a user whom it does not know.
func isolationRefused() string {
	if reason := plugins.ProbeIsolation()[skalds.AbilityUID]; reason != "" {
		return "this node lacks what the task needs: uid: " + reason
	}
	return "there is no user no-such-user-here on this node"
}

func TestWhatCannotBeStartedIsRefused(t *testing.T) {
	b, _, _ := nodeHost(t)
	for name, c := range map[string]struct {
		spec      skalds.Spec
		permanent bool
		reason    string
	}{
		"class": {scriptSpec("class", "Nothing", script{Do: "wait"}), false, "Nothing"},
		"version": {func() skalds.Spec {
			s := scriptSpec("version", "Script", script{Do: "wait"})
			s.Version = "^9"
			return s
		}(), false, "9"},
		"isolation": {func() skalds.Spec {
			s := scriptSpec("isolation", "Script", script{Do: "wait"})
			s.Isolation.User = "no-such-user-here"
			return s
		}(), false, isolationRefused()},
		"schema": {skalds.Spec{ID: "schema", ClassName: "Script", Attachments: []byte(`{"doo":"wait"}`)}, true, "attachments.doo"},
	} {
		t.Run(name, func(t *testing.T) {
			b.send(command(c.spec, 1, 4))
			var refused skalds.Report
			eventually(t, "refusal", soon, func() bool {
				for _, r := range b.reports(c.spec.ID) {
					if r.Ack == skalds.AckRefused {
						refused = r
						return true
					}
				}
				return false
			})
			if refused.Permanent != c.permanent || !strings.Contains(refused.Reason, c.reason) || refused.DesiredRevision != 4 {
				t.Errorf("%+v", refused)
			}
		})
	}
	eventually(t, "heartbeats say what this machine can isolate", soon, func() bool {
		said := b.heartbeat("n1").Isolation
		return len(said) == len(skalds.Abilities()) && maps.Equal(said, plugins.ProbeIsolation())
	})
}

// What this node lacks for a moment costs a task nothing: it waits, says why, and runs; in the long run another node gets it.
func TestANodeThatCannotStartProcesses(t *testing.T) {
	b, m, _ := nodeHost(t)
	b.send(command(scriptSpec("first", "Script", script{Do: "wait"}), 1, 1))
	dir, ok := procstats.Environ(waitRunning(t, b, "first", 1).PID, protocol.EnvInstanceDir)
	if !ok {
		t.Skip("no environment of other processes here")
	}
	base := filepath.Dir(dir)
	if err := errors.Join(os.Rename(base, base+"~"), os.WriteFile(base, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base + "~") })
	b.send(command(scriptSpec("moves", "Script", script{Do: "wait"}), 1, 1))
	eventually(t, "given back", soon, func() bool { return b.last("moves").State == skalds.Created })
	waits := 0
	for _, r := range b.reports("moves") {
		if r.Phase == skalds.PhaseBackoff && r.NextAttemptAt > r.At && strings.Contains(r.Error, "this node cannot start scripted@1.0.0") {
			waits++
		}
		if r.BudgetUsed != 0 || r.RowFailures != 0 {
			t.Errorf("it cost the task: %+v", r)
		}
	}
	if r := b.last("moves"); r.GoneFor != "move" || !strings.Contains(r.Exception, "private folder") || waits != unluckyLimit-1 {
		t.Errorf("after %d waits: %+v", waits, r)
	}

	b.send(command(scriptSpec("waits", "Script", script{Do: "wait"}), 1, 1))
	eventually(t, "it waits", soon, func() bool {
		s, ok := b.live("waits")
		return ok && s.Phase == skalds.PhaseBackoff && strings.Contains(s.Error, "private folder")
	})
	if err := errors.Join(os.Remove(base), os.Rename(base+"~", base)); err != nil {
		t.Fatal(err)
	}
	if r := waitRunning(t, b, "waits", 1); r.BudgetUsed != 0 || r.Error != "" {
		t.Errorf("%+v", r)
	}
	if n := len(m.attempts("moves")); n != 0 {
		t.Errorf("%d attempts", n)
	}
}

func TestPause(t *testing.T) {
	b, m, _ := nodeHost(t)
	spec := scriptSpec("spin", "Script", script{Do: "spin"})
	spec.Timeouts.Run = skalds.Duration(time.Hour)
	c := command(spec, 1, 1)
	b.send(c)
	pid := waitRunning(t, b, "spin", 1).PID
	pause := c
	pause.Desired, pause.DesiredRevision = skalds.DesiredPaused, 2
	b.send(pause)
	eventually(t, "paused", soon, func() bool { return b.last("spin").State == skalds.Paused })
	before := cpuTicks(t, pid)
	time.Sleep(300 * time.Millisecond) // time that passes is what is tested
	if used := cpuTicks(t, pid) - before; used > 0 {
		t.Errorf("a paused task used %d ticks of CPU", used)
	}
	resume := c
	resume.DesiredRevision = 3
	b.send(resume)
	eventually(t, "running again", soon, func() bool {
		r := b.last("spin")
		return r.State == skalds.Running && r.DesiredRevision == 3
	})
	eventually(t, "CPU is used again", soon, func() bool { return cpuTicks(t, pid) > before })
	b.send(pause2(c, 4))
	eventually(t, "paused again", soon, func() bool { return b.last("spin").State == skalds.Paused && b.last("spin").DesiredRevision == 4 })
	b.send(gone(c, "cancelled", 5))
	eventually(t, "a frozen task can be cancelled", soon, func() bool { return b.last("spin").State == skalds.Cancelled })
	if syscall.Kill(pid, 0) == nil {
		t.Error("its process lives")
	}

	t.Run("by the worker's own hook", func(t *testing.T) {
		c := command(scriptSpec("own", "Pausing", script{Do: "watch"}), 1, 1)
		b.send(c)
		waitRunning(t, b, "own", 1)
		b.send(pause2(c, 2))
		eventually(t, "paused", soon, func() bool { return b.last("own").State == skalds.Paused && m.exists("own", "paused") })
		c.DesiredRevision = 3
		b.send(c)
		eventually(t, "resumed", soon, func() bool { return b.last("own").State == skalds.Running && m.exists("own", "resumed") })
	})
	t.Run("by a hook that takes too long", func(t *testing.T) {
		c := command(scriptSpec("slow", "Pausing", script{Do: "watch", Text: "too late"}), 1, 1)
		b.send(c)
		waitRunning(t, b, "slow", 1)
		b.send(pause2(c, 2))
		eventually(t, "frozen instead", 2*rpcTimeout+soon, func() bool { return b.last("slow").State == skalds.Paused })
		c.DesiredRevision = 3
		b.send(c)
		eventually(t, "running again", soon, func() bool { return b.last("slow").State == skalds.Running && b.last("slow").DesiredRevision == 3 })
		c = command(scriptSpec("slow", "Pausing", script{Do: "watch", Text: "moves"}), 1, 4)
		b.send(c)
		eventually(t, "it moves", soon, m.hasUpdated("slow", "moves"))
	})
	t.Run("a task that comes paused is not launched", func(t *testing.T) {
		c := command(scriptSpec("moved", "Script", script{Do: "wait"}), 1, 1)
		b.send(pause2(c, 1))
		eventually(t, "paused", soon, func() bool { return b.last("moved").State == skalds.Paused })
		if len(m.attempts("moved")) != 0 {
			t.Error("it was launched")
		}
		c.DesiredRevision = 2
		b.send(c)
		waitRunning(t, b, "moved", 1)
	})
}

func pause2(c skalds.Command, revision int64) skalds.Command {
	c.Desired, c.DesiredRevision = skalds.DesiredPaused, revision
	return c
}

// cpuTicks is what a process has used of the CPU.
func cpuTicks(t testing.TB, pid int) (ticks int64) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip("needs /proc")
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	var user, system int64
	_, _ = fmt.Sscan(fields[11], &user)
	_, _ = fmt.Sscan(fields[12], &system)
	return user + system
}

func TestUpdateWhileRunning(t *testing.T) {
	b, m, _ := nodeHost(t)
	c := command(scriptSpec("a", "Script", script{Do: "watch", Text: "one"}), 1, 1)
	b.send(c)
	pid := waitRunning(t, b, "a", 1).PID
	updated := command(scriptSpec("a", "Script", script{Do: "watch", Text: "two"}), 1, 2)
	b.send(updated)
	eventually(t, "the new value is seen", soon, func() bool {
		raw, _ := os.ReadFile(m.dir + "/recordings/a/updated")
		return string(raw) == "two"
	})
	eventually(t, "applied", soon, func() bool { return b.last("a").DesiredRevision == 2 && b.last("a").Ack == skalds.AckApplied })
	for i, bad := range []string{`{"do":"watch","text":"refuse me"}`, `{"do":"watch","txt":"x"}`} {
		c := updated
		spec := *c.Spec
		spec.Attachments = []byte(bad)
		c.Spec, c.DesiredRevision = &spec, int64(3+i)
		b.send(c)
		eventually(t, "the refusal", soon, func() bool {
			r := b.last("a")
			return r.DesiredRevision == c.DesiredRevision && strings.Contains(r.Error, "the old ones hold")
		})
	}
	if r := b.last("a"); r.PID != pid || r.Attempt != 1 {
		t.Errorf("the process was replaced: %+v", r)
	}
	// The next attempt runs with what was accepted.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitRunning(t, b, "a", 2)
	eventually(t, "the second attempt in Main", soon, func() bool { return len(m.attempts("a")) == 2 })
	if got := m.attempts("a")[1]; got != "1/2 two" {
		t.Errorf("second attempt: %q", got)
	}
}

func TestCancel(t *testing.T) {
	b, m, _ := nodeHost(t)
	t.Run("while it is being launched", func(t *testing.T) {
		c := command(scriptSpec("early", "Script", script{Do: "wait"}), 1, 1)
		b.send(c)
		b.send(gone(c, "cancelled", 2))
		eventually(t, "cancelled", soon, func() bool { return b.last("early").State == skalds.Cancelled })
	})
	t.Run("a worker that ignores everything", func(t *testing.T) {
		c := command(scriptSpec("deaf", "Script", script{Do: "ignore"}), 1, 1)
		b.send(c)
		pid := waitRunning(t, b, "deaf", 1).PID
		start := time.Now()
		b.send(gone(c, "cancelled", 2))
		eventually(t, "cancelled", soon, func() bool { return b.last("deaf").State == skalds.Cancelled })
		if took := time.Since(start); took > 5*3*time.Second {
			t.Errorf("took %s with a grace of 2s", took)
		}
		if syscall.Kill(pid, 0) == nil {
			t.Error("its process lives")
		}
	})
	t.Run("what is not here is gone", func(t *testing.T) {
		b.send(gone(skalds.Command{TaskID: "never", Generation: 1, Epoch: 2}, "cancelled", 1))
		eventually(t, "applied", soon, func() bool {
			for _, r := range b.reports("never") {
				if r.Ack == skalds.AckApplied {
					return true
				}
			}
			return false
		})
	})
	t.Run("an older command changes nothing", func(t *testing.T) {
		b.send(command(scriptSpec("never", "Script", script{Do: "finish"}), 1, 9))
		b.send(command(scriptSpec("after", "Script", script{Do: "finish"}), 1, 1))
		eventually(t, "the one after it", soon, func() bool { return b.last("after").State == skalds.Finished })
		if len(m.attempts("never")) > 0 {
			t.Error("it was run")
		}
	})
}

func TestANewerEpochTakesOver(t *testing.T) {
	b, m, _ := nodeHost(t)
	b.send(command(scriptSpec("a", "Script", script{Do: "wait", Text: "old"}), 1, 1))
	waitRunning(t, b, "a", 1)
	b.send(command(scriptSpec("a", "Script", script{Do: "wait", Text: "new"}), 2, 5))
	eventually(t, "the new assignment", soon, func() bool {
		r := b.last("a")
		return r.Epoch == 2 && r.State == skalds.Running && r.PID > 0 && r.Attempt == 1
	})
	eventually(t, "its process in Main", soon, func() bool { return len(m.attempts("a")) >= 2 })
	if got := m.attempts("a"); len(got) != 2 || got[1] != "2/1 new" {
		t.Errorf("%q", got)
	}
	eventually(t, "exit report of the old", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 1 })
	if e := b.outcomes("a", skalds.OutcomeExit)[0]; e.Epoch != 1 || e.Exit.Exit.Kind != skalds.ExitSuperseded {
		t.Errorf("%+v", e.Exit.Exit)
	}
	// Gone and, before its process has ended, handed out again.
	c := command(scriptSpec("a", "Script", script{Do: "wait", Text: "third"}), 3, 7)
	b.send(gone(c, "drain", 6))
	b.send(c)
	eventually(t, "the third", soon, func() bool { got := m.attempts("a"); return len(got) == 3 && got[2] == "3/1 third" })
}

func TestTroubleIsShownWhileTheTaskRuns(t *testing.T) {
	b, _, _ := nodeHost(t)
	b.send(command(scriptSpec("a", "Script", script{Do: "trouble"}), 1, 1))
	eventually(t, "reported", soon, func() bool { return b.last("a").Error == "camera does not answer" })
	eventually(t, "in the heartbeat", soon, func() bool {
		s, ok := b.live("a")
		return ok && s.Error == "camera does not answer" && s.State == skalds.Running
	})
	hb := b.heartbeat("n1")
	if hb.Reserved.MemoryBytes != 64<<20 || hb.Reserved.CPUCores != 0.5 || hb.Capacity.MemoryBytes == 0 || hb.Capacity.CPUCores == 0 {
		t.Errorf("heartbeat: %+v", hb)
	}
	if len(hb.Workers) != 1 || hb.Workers[0] != "scripted@1.0.0" || len(hb.Classes) != 3 || hb.Partition != 7 {
		t.Errorf("heartbeat: %+v", hb)
	}
}

func TestAClassCanBeLimitedPerNode(t *testing.T) {
	b, _, _ := nodeHost(t)
	b.send(command(scriptSpec("a", "Single", script{Do: "wait"}), 1, 1))
	waitRunning(t, b, "a", 1)
	b.send(command(scriptSpec("b", "Single", script{Do: "wait"}), 1, 1))
	eventually(t, "refused", soon, func() bool {
		rs := b.reports("b")
		return len(rs) > 1 && rs[1].Ack == skalds.AckRefused && strings.Contains(rs[1].Reason, "as many as it may")
	})
}

func TestWorkersAreNicerThanTheirHost(t *testing.T) {
	b, _, _ := nodeHost(t)
	b.send(command(scriptSpec("a", "Script", script{Do: "wait"}), 1, 1))
	pid := waitRunning(t, b, "a", 1).PID
	nice := func(of string) (n int) {
		stat, err := os.ReadFile("/proc/" + of + "/stat")
		if err != nil {
			t.Skip("no /proc here: ", err)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		_, _ = fmt.Sscan(strings.Fields(rest)[16], &n)
		return n
	}
	if got, want := nice(fmt.Sprint(pid)), nice("self")+WorkerNice; got != want {
		t.Errorf("niceness %d, want %d", got, want)
	}
}

func TestWorkersReachTheirHost(t *testing.T) {
	b, _, _ := nodeHost(t)
	b.send(command(scriptSpec("a", "Script", script{Do: "cache", Text: "v1"}), 4, 1))
	eventually(t, "finished", soon, func() bool { return b.last("a").State == skalds.Finished })
	eventually(t, "artifact", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeArtifact)) == 1 })
	if a := b.outcomes("a", skalds.OutcomeArtifact)[0].Artifact; a.Path != "/x/v1" || a.Epoch != 4 || a.Node != "n1" {
		t.Errorf("%+v", a)
	}
}

func TestANewerEpochTakesOverDuringTheLaunch(t *testing.T) {
	b, m, _ := nodeHost(t)
	for i := range 10 {
		id := fmt.Sprintf("t%d", i)
		b.send(command(scriptSpec(id, "Script", script{Do: "wait", Text: "old"}), 1, 1))
		time.Sleep(time.Duration(i) * 3 * time.Millisecond) // at different moments of the launch
		b.send(command(scriptSpec(id, "Script", script{Do: "wait", Text: "new"}), 2, 2))
	}
	for i := range 10 {
		id := fmt.Sprintf("t%d", i)
		eventually(t, "the new assignment of "+id, soon, func() bool {
			got := m.attempts(id)
			return len(got) > 0 && got[len(got)-1] == "2/1 new"
		})
	}
}
