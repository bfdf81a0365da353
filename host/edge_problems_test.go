package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
)

// What is wrong with the workers file, an entry of it, or a worker's executable is in every heartbeat until it is repaired;
// attachments that miss the schema are refused with the place where they stand.
func TestProblemsAreInTheHeartbeat(t *testing.T) {
	m := newEdgeMachine(t, workersYML(entry("good", "wait", ""), "  bad:\n    className: Script\n    atachments: {}\n", "  odd:\n    className: Script\n    attachments:\n      do: wait\n      n: many\n", "  none:\n    className: Scirpt\n"))
	broken := filepath.Join(m.workers, "broken", "1.0.0", "broken")
	if err := os.MkdirAll(filepath.Dir(broken), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := newMemoryBus()
	m.start(b)
	problem := func(path, reason string) func() bool {
		return func() bool {
			for _, p := range b.heartbeat("n1").Problems {
				if p.Path == path && strings.Contains(p.Reason, reason) {
					return true
				}
			}
			return false
		}
	}
	eventually(t, "the entry is named", soon, problem(m.file+":9:5", "TaskWorkers.bad.atachments: unknown key"))
	eventually(t, "the executable is named", soon, problem(broken, "chmod +x"))
	eventually(t, "the other task runs", soon, func() bool { return len(m.attempts("good")) == 1 })
	ended := func(task, want string) func() bool {
		return func() bool {
			for _, r := range b.reports(task) {
				if r.Exit != nil && r.Exit.Message == want || r.Error == want {
					return true
				}
			}
			return false
		}
	}
	eventually(t, "the line of the attachment is named", soon, ended("odd", m.file+":14:10: TaskWorkers.odd.attachments.n: got string, want integer"))
	eventually(t, "the line of the class is named", soon, func() bool {
		s, _ := b.live("none")
		return strings.HasPrefix(s.Error, m.file+":16:16: TaskWorkers.none.className: no worker offers the class Scirpt")
	})

	m.write("TaskWorkers: [")
	eventually(t, "the file is named", soon, problem(m.file+":1:1", "this is no YAML"))
	if err := os.Remove(m.file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the missing file is named", soon, problem(m.file, "no such file or directory"))
	m.write(workersYML(entry("good", "wait", "")))
	eventually(t, "nothing is wrong with it any more", soon, func() bool {
		p := b.heartbeat("n1").Problems
		return len(p) == 1 && p[0].Path == broken
	})
	if n := len(m.attempts("good")); n != 1 {
		t.Errorf("the task was disturbed: %d attempts", n)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	many := make([]skalds.NodeProblem, 200)
	for i := range many {
		many[i].Reason = strings.Repeat("ä", maxProblemText)
	}
	got := boundProblems(many)
	if len(got) != maxProblems || !strings.Contains(got[maxProblems-1].Reason, "and 151 more") || len(got[0].Reason) > maxProblemText+len("…") {
		t.Errorf("%d problems, the last %+v, the first of %d bytes", len(got), got[len(got)-1], len(got[0].Reason))
	}
}
