package host

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestRunSingle(t *testing.T) {
	for name, c := range map[string]struct {
		entry string
		code  int
		runs  int
	}{
		"finished":          {entry("a", "finish", ""), 0, 1},
		"finished at last":  {"  a:\n    className: Script\n    attachments: {do: flaky, n: 2}\n", 0, 3},
		"its own exit code": {"  a:\n    className: Script\n    attachments: {do: exit, code: 7}\n", 7, 3},
		"an error":          {entry("a", "permanent", "no"), 1, 1},
		"no such class":     {"  a:\n    className: Nothing\n", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := newEdgeMachine(t, workersYML(c.entry, entry("second", "finish", "")))
			cfg := m.config()
			cfg.WorkersFile = m.file
			code, err := RunSingle(t.Context(), cfg, m.deps(t), testLog(t))
			if err != nil || code != c.code {
				t.Errorf("exit code %d, want %d (%v)", code, c.code, err)
			}
			if n := len(m.attempts("a")); n != c.runs {
				t.Errorf("%d attempts, want %d", n, c.runs)
			}
			if len(m.attempts("second")) > 0 {
				t.Error("the second entry was run")
			}
		})
	}
	for name, do := range map[string]string{"terminated": "wait", "terminated, and its Main returns nil": "leave"} {
		t.Run(name, func(t *testing.T) { runSingleTerminated(t, do) })
	}
	t.Run("a file that cannot be used", func(t *testing.T) {
		m := newEdgeMachine(t, "TaskWorkers: [")
		cfg := m.config()
		cfg.WorkersFile = m.file
		if code, err := RunSingle(t.Context(), cfg, m.deps(t), testLog(t)); code != 2 || err == nil {
			t.Errorf("%d %v", code, err)
		}
		m.write("TaskWorkers: {}\n")
		if code, err := RunSingle(t.Context(), cfg, m.deps(t), testLog(t)); code != 2 || err == nil || !strings.Contains(err.Error(), "names no task") {
			t.Errorf("%d %v", code, err)
		}
	})
}

func runSingleTerminated(t *testing.T, do string) {
	m := newEdgeMachine(t, workersYML(entry("a", do, "")))
	cfg := m.config()
	cfg.WorkersFile = m.file
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan string, 1)
	d := m.deps(t)
	go func() {
		code, err := RunSingle(ctx, cfg, d, testLog(t))
		done <- fmt.Sprint(code, err)
	}()
	eventually(t, "it runs", soon, func() bool { return len(m.attempts("a")) == 1 })
	cancel()
	if got := <-done; got != "143 <nil>" {
		t.Errorf("%s", got)
	}
}

func TestAWorkerLogsAsMuchAsItsHost(t *testing.T) {
	for level, detailed := range map[hclog.Level]bool{hclog.Trace: true, hclog.Debug: true, hclog.Info: false, hclog.Error: false} {
		t.Run(level.String(), func(t *testing.T) {
			m := newEdgeMachine(t, workersYML(entry("a", "finish", "")))
			cfg := m.config()
			cfg.WorkersFile = m.file
			if code, err := RunSingle(t.Context(), cfg, m.deps(t), hclog.New(&hclog.LoggerOptions{Level: level, Output: io.Discard})); err != nil || code != 0 {
				t.Fatal(code, err)
			}
			lines, err := tailFiles(filepath.Join(m.dir, "logs", "a.log"), 100)
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(lines, "\n")
			if !strings.Contains(said, "doing") || strings.Contains(said, "in detail") != detailed {
				t.Errorf("want details: %v, got\n%s", detailed, said)
			}
		})
	}
}
