package host

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// edgeMachine is a machine with a workers file.
type edgeMachine struct {
	*machine
	file string
	t    testing.TB
}

func newEdgeMachine(t testing.TB, yml string) *edgeMachine {
	m := &edgeMachine{machine: newMachine(t), t: t}
	m.file = filepath.Join(m.dir, "conf", "workers.yml")
	if err := os.Mkdir(filepath.Dir(m.file), 0o755); err != nil {
		t.Fatal(err)
	}
	m.write(yml)
	return m
}

// write replaces the file as editors do.
func (m *edgeMachine) write(yml string) {
	m.t.Helper()
	if err := os.WriteFile(m.file+".tmp", []byte(yml), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(m.file+".tmp", m.file); err != nil {
		m.t.Fatal(err)
	}
}

func (m *edgeMachine) read() string {
	m.t.Helper()
	b, err := os.ReadFile(m.file)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

func (m *edgeMachine) start(b *memoryBus) *runningHost {
	m.t.Helper()
	d := m.deps(m.t)
	cfg := m.config()
	cfg.Node, cfg.WorkersFile = false, m.file
	if b != nil {
		d.Bus, d.Beats = b, b
	}
	return startHost(m.t, cfg, d)
}

// entry writes one entry of the file.
func entry(id, do, text string, more ...string) string {
	s := fmt.Sprintf("  %s:\n    className: Script\n    attachments:\n      do: %s\n      text: %q\n", id, do, text)
	for _, l := range more {
		s += "    " + l + "\n"
	}
	return s
}

func workersYML(entries ...string) string { return "TaskWorkers:\n" + strings.Join(entries, "") }

func (m *machine) hasUpdated(task, want string) func() bool {
	return func() bool {
		b, _ := os.ReadFile(filepath.Join(m.dir, "recordings", task, "updated"))
		return string(b) == want
	}
}

func TestAnEdgeHostAloneFollowsItsFile(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "watch", "one"), entry("b", "wait", ""), "  bad:\n    attachments: {}\n"))
	m.start(nil)
	eventually(t, "both run", soon, func() bool { return len(m.attempts("a")) == 1 && len(m.attempts("b")) == 1 })

	m.write(workersYML(entry("a", "watch", "two"), entry("b", "wait", ""), entry("c", "wait", "")))
	eventually(t, "the change is handed to the running worker", soon, m.hasUpdated("a", "two"))
	eventually(t, "the added task runs", soon, func() bool { return len(m.attempts("c")) == 1 })
	if len(m.attempts("a")) != 1 || len(m.attempts("b")) != 1 {
		t.Error("a task that goes on was started anew")
	}

	for _, useless := range []string{"TaskWorkers: [", "", "# nothing\n"} {
		m.write(useless)
		m.write(useless + " ")
		time.Sleep(2 * fileSettles) // nothing must happen
	}
	m.write(workersYML(entry("a", "watch", "three"), entry("c", "wait", "")))
	eventually(t, "the file counts again", soon, m.hasUpdated("a", "three"))
	if n := len(m.attempts("c")); n != 1 {
		t.Errorf("a file that cannot be used restarted c: %d attempts", n)
	}
	// b was removed: put back it runs again.
	m.write(workersYML(entry("a", "watch", "three"), entry("b", "wait", "again"), entry("c", "wait", "")))
	eventually(t, "the entry put back runs", soon, func() bool { return len(m.attempts("b")) == 2 })
	if got := m.attempts("b")[1]; got != "2/1 again" {
		t.Errorf("its second run: %q", got)
	}
}

func TestAnEdgeTaskThatCannotStartWaitsOrFails(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "wait", ""), "  b:\n    className: Later\n",
		entry("d", "wait", "", "isolation:", "  user: no-such-user-here"),
		"  c:\n    className: Script\n    attachments:\n      doo: wait\n"))
	b := newMemoryBus()
	m.start(b)
	eventually(t, "a runs", soon, func() bool { return len(m.attempts("a")) == 1 })
	eventually(t, "c, whose attachments miss the schema, has failed", soon, func() bool { return b.last("c").State == skalds.Failed })
	r := b.last("c")
	if r.Exit == nil || !r.Exit.Permanent || r.BudgetUsed != 0 || !strings.Contains(r.Exception, "workers.yml:") || !strings.Contains(r.Exception, "attachments.doo") {
		t.Errorf("%+v %+v", r, r.Exit)
	}
	eventually(t, "its exit report", soon, func() bool { return len(b.outcomes("c", skalds.OutcomeExit)) == 1 })
	eventually(t, "it is remembered", soon, func() bool { return m.edgeState("c") == skalds.Failed })
	if len(m.attempts("c")) > 0 {
		t.Error("c was run")
	}
	eventually(t, "b says why it waits", soon, func() bool {
		s, ok := b.live("b")
		return ok && s.Phase == skalds.PhaseBackoff && strings.Contains(s.Error, "Later")
	})
	eventually(t, "d says where it asks for what this node cannot do", soon, func() bool {
		s, ok := b.live("d")
		return ok && s.Phase == skalds.PhaseBackoff && strings.Contains(s.Error, isolationRefused()) && strings.Contains(s.Error, "workers.yml:") && strings.Contains(s.Error, ": TaskWorkers.d.isolation")
	})
	if len(m.attempts("d")) > 0 {
		t.Error("d was run with less isolation than it asks for")
	}
}

func TestAnEntryThatAsksForOtherWorkBeginsAtTheBeginning(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "stage then wait", "one")))
	m.start(nil)
	kept := func(epoch int64) func() bool {
		return func() bool { e := m.edgeRecord("a"); return e.Epoch == epoch && len(e.Stages) == 1 }
	}
	eventually(t, "the stage is kept", soon, kept(1))
	m.write(workersYML(entry("a", "stage then wait", "one", "priority: 7")))
	eventually(t, "the second run", soon, func() bool { return len(m.attempts("a")) == 2 })
	if !kept(2)() || m.exists("a", "stage-2") {
		t.Error("a stage of the same work was run again")
	}
	m.write(workersYML(entry("a", "stage then wait", "two", "priority: 8")))
	eventually(t, "the stage is run for other attachments", soon, func() bool { return m.exists("a", "stage-3") })
	m.write(workersYML(strings.Replace(entry("a", "stage then wait", "two", "priority: 8"), "className: Script", "className: Single", 1)))
	eventually(t, "the stage is run by another class", soon, func() bool { return m.exists("a", "stage-4") })
	eventually(t, "the stage is kept again", soon, kept(4))
}

func TestAnEdgeHostStartsAgain(t *testing.T) {
	persistent, once := entry("p", "finish", ""), entry("o", "finish", "", "isPersistent: false")
	m := newEdgeMachine(t, workersYML(persistent, once, entry("w", "wait", "")))
	h := m.start(nil)
	eventually(t, "all run", soon, func() bool {
		return len(m.attempts("p")) == 1 && len(m.attempts("o")) == 1 && len(m.attempts("w")) == 1
	})
	ended := func() bool { return m.edgeState("p") == skalds.Finished && m.edgeState("o") == skalds.Finished }
	eventually(t, "the ends are known", soon, ended)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = m.start(nil)
	eventually(t, "what runs always, and what is persistent, runs again", soon, func() bool {
		return len(m.attempts("p")) == 2 && len(m.attempts("w")) == 2
	})
	if got := m.attempts("w")[1]; got != "2/1 " {
		t.Errorf("its epoch did not grow: %q", got)
	}
	eventually(t, "end", soon, ended)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(m.attempts("o")); n != 1 {
		t.Errorf("the task that is not persistent was run %d times", n)
	}
	m.write(workersYML(persistent, entry("o", "finish", "changed", "isPersistent: false")))
	m.start(nil)
	eventually(t, "a changed entry is a retry", soon, func() bool { return len(m.attempts("o")) == 2 })
}

func TestAFileEmptiedWhileTheHostIsDownChangesNothing(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "wait", ""), entry("b", "finish", "", "isPersistent: false")))
	h := m.start(nil)
	eventually(t, "a runs, b has finished", soon, func() bool {
		return len(m.attempts("a")) == 1 && m.edgeState("b") == skalds.Finished
	})
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	m.write("# nothing\n")
	b := newMemoryBus()
	m.start(b)
	eventually(t, "the problem is shown", soon, func() bool {
		ps := b.heartbeat("n1").Problems
		return len(ps) == 1 && strings.Contains(ps[0].Reason, "names no task any more")
	})
	if got := m.edgeState("a"); got != skalds.Running {
		t.Errorf("the journal holds a as %q", got)
	}
	if es := b.edgeEntries("a"); len(es) > 0 {
		t.Errorf("the controller was told %+v", es)
	}
	m.write(workersYML(entry("a", "wait", "")))
	eventually(t, "what is there again runs, what is not is gone", soon, func() bool {
		es := b.edgeEntries("b")
		return len(m.attempts("a")) == 2 && len(es) > 0 && es[len(es)-1].Removed
	})
}

func TestARetryThatNoControllerHasHeardOfIsToldAfterARestart(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "finish", "", "isPersistent: false")))
	h := m.start(nil)
	eventually(t, "a has finished", soon, func() bool { return m.edgeState("a") == skalds.Finished })
	m.write(workersYML(entry("a", "wait", "changed", "isPersistent: false")))
	eventually(t, "the changed entry runs", soon, func() bool { return len(m.attempts("a")) == 2 })
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	b := newMemoryBus()
	h = m.start(b)
	eventually(t, "announced", soon, func() bool { return len(b.edgeEntries("a")) > 0 })
	if e := b.edgeEntries("a")[0]; !e.Retry {
		t.Errorf("a controller that holds it for cancelled would cancel it again: %+v", e)
	}
	b.answerEdge(skalds.EdgeAnswer{TaskID: "a", Desired: skalds.DesiredRunning, Epoch: b.edgeEntries("a")[0].Epoch, Attachments: attachmentsOf("wait", "changed")})
	eventually(t, "answered", soon, func() bool { return b.last("a").State == skalds.Running })
	told := len(b.edgeEntries("a"))
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	m.start(b)
	eventually(t, "announced again", soon, func() bool { return len(b.edgeEntries("a")) > told })
	if e := b.edgeEntries("a")[told]; e.Retry {
		t.Errorf("told again: %+v", e)
	}
}

// edgeRecord reads a copy of the journal.
func (m *edgeMachine) edgeRecord(task string) edgeRecord {
	f, err := os.Open(filepath.Join(m.dir, "host", "journal"))
	if err != nil {
		return edgeRecord{}
	}
	defer f.Close()
	s := newJournalState()
	_, _ = readJournal(f, s.apply)
	return s.edges[task]
}

func (m *edgeMachine) edgeState(task string) skalds.State { return m.edgeRecord(task).State }

// edgeAnswers answers every entry as the function says, like a controller.
func (b *memoryBus) edgeEntries(task string) (out []skalds.EdgeEntry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.seen {
		if m.Edge != nil && m.Edge.Spec.ID == task {
			out = append(out, *m.Edge)
		}
	}
	return out
}

func (b *memoryBus) answerEdge(a skalds.EdgeAnswer) {
	if a.Owner == "" {
		a.Owner = "n1"
	}
	a.Accepted = a.Owner == "n1"
	a.Hash = skalds.ContentHash(a.Attachments)
	b.commands <- skalds.NodeMessage{NodeID: "n1", Edge: &a}
}

func attachmentsOf(do, text string) json.RawMessage {
	b, _ := json.Marshal(script{Do: do, Text: text})
	return b
}

func TestAnEdgeTaskIsKeptAlikeInFileAndStore(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "watch", "file")))
	b := newMemoryBus()
	m.start(b)
	eventually(t, "the entry is announced", soon, func() bool { return len(b.edgeEntries("a")) > 0 })
	first := b.edgeEntries("a")[0]
	if first.Epoch != 1 || first.BaseHash != "" || first.Spec.Mode != skalds.ModeActive || first.Spec.OnDisconnect != skalds.OnDisconnectKeep {
		t.Errorf("%+v", first)
	}
	answer := skalds.EdgeAnswer{TaskID: "a", Desired: skalds.DesiredRunning, Epoch: 1}
	answer.Attachments = attachmentsOf("watch", "file")
	b.answerEdge(answer)
	eventually(t, "its state is told", soon, func() bool { return b.last("a").State == skalds.Running })

	t.Run("changed in the store", func(t *testing.T) {
		c := command(scriptSpec("a", "Script", script{Do: "watch", Text: "store"}), 1, 2)
		b.send(c)
		eventually(t, "handed over", soon, m.hasUpdated("a", "store"))
		eventually(t, "written to the file", soon, func() bool { return strings.Contains(m.read(), "store") })
		eventually(t, "applied", soon, func() bool { r := b.last("a"); return r.Ack == skalds.AckApplied && r.DesiredRevision == 2 })
		if _, err := os.Stat(m.file + ".conflict"); err == nil {
			t.Error("there was no conflict")
		}
	})
	t.Run("changed in the file", func(t *testing.T) {
		before := len(b.edgeEntries("a"))
		m.write(workersYML(entry("a", "watch", "edited")))
		eventually(t, "handed over", soon, m.hasUpdated("a", "edited"))
		eventually(t, "announced", soon, func() bool { return len(b.edgeEntries("a")) > before })
		es := b.edgeEntries("a")
		if e := es[len(es)-1]; e.BaseHash != skalds.ContentHash(attachmentsOf("watch", "store")) || string(e.Spec.Attachments) != string(attachmentsOf("watch", "edited")) {
			t.Errorf("%+v", e)
		}
		answer.Attachments, answer.DesiredRevision = attachmentsOf("watch", "edited"), 2
		b.answerEdge(answer)
	})
	t.Run("changed in both", func(t *testing.T) {
		before := len(b.edgeEntries("a"))
		m.write(workersYML(entry("a", "watch", "mine")))
		eventually(t, "announced", soon, func() bool { return len(b.edgeEntries("a")) > before })
		stale := answer
		stale.Attachments, stale.DesiredRevision, stale.Desired = attachmentsOf("watch", "stale"), 1, skalds.DesiredGone
		b.answerEdge(stale) // overtaken by the command before
		answer.Attachments, answer.DesiredRevision = attachmentsOf("watch", "theirs"), 3
		b.answerEdge(answer)
		eventually(t, "the store's value holds", soon, m.hasUpdated("a", "theirs"))
		eventually(t, "the file's value is kept", soon, func() bool {
			raw, _ := os.ReadFile(m.file + ".conflict")
			return strings.Contains(string(raw), "mine")
		})
	})
	t.Run("cancelled, then retried by a user", func(t *testing.T) {
		c := command(scriptSpec("a", "Script", script{Do: "watch", Text: "theirs"}), 1, 5)
		b.send(gone(c, "cancelled", 5))
		eventually(t, "cancelled", soon, func() bool { return b.last("a").State == skalds.Cancelled })
		c.Epoch, c.DesiredRevision = 4, 6
		b.send(c)
		eventually(t, "runs again", soon, func() bool { r := b.last("a"); return r.State == skalds.Running && r.Epoch == 4 && r.PID > 0 })
	})
	t.Run("removed", func(t *testing.T) {
		m.write(workersYML(entry("other", "wait", "")))
		eventually(t, "cancelled", soon, func() bool { r := b.last("a"); return r.State == skalds.Cancelled && r.Epoch == 4 })
		eventually(t, "announced", soon, func() bool { es := b.edgeEntries("a"); return es[len(es)-1].Removed })
	})
}

func TestAFileThatCannotBeWrittenIsOverlaid(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "watch", "file")))
	b := newMemoryBus()
	h := m.start(b)
	eventually(t, "announced", soon, func() bool { return len(b.edgeEntries("a")) > 0 })
	answer := skalds.EdgeAnswer{TaskID: "a", Desired: skalds.DesiredRunning, Epoch: 1, Attachments: attachmentsOf("watch", "file")}
	b.answerEdge(answer)
	if err := os.Chmod(m.file, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(m.file), 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(m.file), 0o755) })
	b.send(command(scriptSpec("a", "Script", script{Do: "watch", Text: "store"}), 1, 2))
	eventually(t, "handed over", soon, m.hasUpdated("a", "store"))
	if os.Geteuid() == 0 && strings.Contains(m.read(), "store") {
		t.Skip("root writes to read-only files")
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	m.start(b)
	eventually(t, "the overlay outlives the host", soon, func() bool {
		got := m.attempts("a")
		return len(got) == 2 && strings.HasSuffix(got[1], "store")
	})
}

func TestTheStoreKnowsAHigherEpoch(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "wait", "")))
	b := newMemoryBus()
	m.start(b)
	eventually(t, "announced", soon, func() bool { return len(b.edgeEntries("a")) > 0 })
	b.answerEdge(skalds.EdgeAnswer{TaskID: "a", Desired: skalds.DesiredRunning, Epoch: 9, Attachments: attachmentsOf("wait", "")})
	eventually(t, "announced anew above it", soon, func() bool {
		es := b.edgeEntries("a")
		return es[len(es)-1].Epoch == 10
	})
	b.answerEdge(skalds.EdgeAnswer{TaskID: "a", Desired: skalds.DesiredRunning, Epoch: 10, Attachments: attachmentsOf("wait", "")})
	eventually(t, "reports under it", soon, func() bool { r := b.last("a"); return r.Epoch == 10 && r.State == skalds.Running })
	if n := len(m.attempts("a")); n != 1 {
		t.Errorf("the process was started anew: %d attempts", n)
	}
}

func TestATaskOfAnotherNodeIsNotRun(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "wait", ""), entry("b", "wait", "")))
	b := newMemoryBus()
	m.start(b)
	eventually(t, "runs before anybody answers", soon, func() bool { _, ok := b.live("a"); return ok })
	b.answerEdge(skalds.EdgeAnswer{TaskID: "a", Owner: "n2", Desired: skalds.DesiredRunning, Epoch: 3, Attachments: attachmentsOf("wait", "")})
	eventually(t, "it is stopped", soon, func() bool { _, ok := b.live("a"); return !ok })
	if _, ok := b.live("b"); !ok {
		t.Error("the other one was stopped too")
	}
}

func TestWhatEndedWithoutAControllerIsToldLater(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("a", "permanent", "no luck")))
	b := newMemoryBus()
	b.setCut(true)
	m.start(b)
	eventually(t, "its end", soon, func() bool { return m.edgeState("a") == skalds.Failed })
	b.setCut(false)
	eventually(t, "announced", soon, func() bool { return len(b.edgeEntries("a")) > 0 })
	eventually(t, "the exit report", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 1 })
	before := len(b.reports("a"))
	b.answerEdge(skalds.EdgeAnswer{TaskID: "a", Desired: skalds.DesiredRunning, Epoch: 1, State: skalds.Assigning, Attachments: attachmentsOf("permanent", "no luck")})
	eventually(t, "the state, now that the epoch is known", soon, func() bool {
		rs := b.reports("a")
		return len(rs) > before && rs[len(rs)-1].State == skalds.Failed && strings.Contains(rs[len(rs)-1].Exception, "no luck")
	})
}
