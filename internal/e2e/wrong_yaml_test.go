package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

const wrongWorkers = `TaskWorkers:
  good:
    className: Script
    attachments: {do: wait}
  unknown-key:
    className: Script
    atachments: {do: wait}
  unknown-class:
    className: Scirpt
    attachments: {do: wait}
  misses-schema:
    className: Script
    attachments:
      text: hello
      do: nonsense
  wrong-type:
    className: Script
    attachments: {do: wait, millis: many}
  not-yet:
    className: Script
    survive: true
  good:
    className: Script
  no-camera:
    className: RTSPRecorder
    attachments: {rtspUrl: "rtsp://user:secret@127.0.0.1:9/none"}
`

// One wrong entry of a workers file costs that entry, one wrong file nothing at all; all is told with file, line and field.
func TestWrongWorkersFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "workers.yml")
	writeFile(t, file, wrongWorkers, 0o644)
	p := standalone(t, dir, "--workers", file)
	good := p.runs("good")

	problems := func() (out []string) {
		p.until("the node is known", func(ctx context.Context) bool {
			n, err := p.Node(ctx, *good.Executor)
			for _, pr := range n.Problems {
				out = append(out, pr.Path+": "+pr.Reason)
			}
			return err == nil
		})
		return out
	}
	become := func(want ...string) {
		t.Helper()
		for i := range want {
			want[i] = file + want[i]
		}
		p.until("the node's problems are "+strings.Join(want, ", "), func(context.Context) bool { return slices.Equal(problems(), want) })
	}
	become(
		":7:5: TaskWorkers.unknown-key.atachments: unknown key: did you mean attachments?",
		":21:5: TaskWorkers.not-yet.survive: is not supported yet: leave it out",
		":22:3: TaskWorkers.good: this id is used already on line 2: the first one counts, give this one another",
	)
	for task, want := range map[string]string{
		"misses-schema": ":15:11: TaskWorkers.misses-schema.attachments.do: value must be one of 'finish', 'wait'",
		"wrong-type":    ":18:37: TaskWorkers.wrong-type.attachments.millis: got string, want integer",
	} {
		if r := p.ends(task); r.LifecycleStatus != skalds.Failed || r.LastExit == nil || !strings.HasPrefix(r.LastExit.Message, file+want) {
			t.Errorf("%s is %s by %+v, want %s", task, r.LifecycleStatus, r.LastExit, want)
		}
	}
	p.becomes("unknown-class", "says in which line", func(r api.TaskResponse) bool {
		return r.Error != nil && strings.HasPrefix(*r.Error, file+":9:16: TaskWorkers.unknown-class.className: no worker offers the class Scirpt (known classes: RTSPRecorder, Script, TestCamera)")
	})
	camera := p.becomes("no-camera", "says that there is no camera", func(r api.TaskResponse) bool {
		return r.LifecycleStatus == skalds.Running && r.Error != nil && strings.Contains(*r.Error, "connection refused")
	})
	if strings.Contains(*camera.Error, "secret") || !strings.Contains(*camera.Error, "127.0.0.1:9/none") {
		t.Errorf("it says %s", *camera.Error)
	}
	if out, _, code := command(t, p, "doctor"); code != 0 || !strings.Contains(out, file+":7:5: TaskWorkers.unknown-key.atachments") {
		t.Errorf("doctor ends with %d and says\n%s", code, out)
	}
	if _, errOut, code := command(t, p, "config", "check", "--workers", file); code != 2 || strings.Count(errOut, "\n") != 3 {
		t.Errorf("config check ends with %d and says\n%s", code, errOut)
	}

	// Broken, emptied, removed, locked: nothing changes but what is said.
	writeFile(t, file, "TaskWorkers:\n  good: [\n", 0o644)
	become(":2:3: this is no YAML: did not find expected node content")
	writeFile(t, file, "", 0o644)
	become(": names no task any more: to end its tasks, cancel them, or remove them one by one")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	become(": read " + file + ": no such file or directory: put it there, it is read at once")
	writeFile(t, file, "TaskWorkrs: {}\n", 0o644)
	become(":1:1: unknown key TaskWorkrs: did you mean TaskWorkers? (keys that begin with x- are left to you)")
	for id, pid := range map[string]int{"good": good.Instance.PID, "no-camera": camera.Instance.PID} {
		if r := p.runs(id); r.Instance.PID != pid {
			t.Errorf("%s was disturbed", id)
		}
	}

	// Repaired, it counts again at once, and what had failed for it runs.
	text := strings.NewReplacer("atachments", "attachments", "Scirpt", "Script", "nonsense", "wait", "many", "5", "    survive: true\n", "    attachments: {do: wait}\n", "  good:\n    className: Script\n  no-", "  no-").Replace(wrongWorkers)
	writeFile(t, file, text, 0o644)
	for _, id := range []string{"unknown-key", "unknown-class", "misses-schema", "wrong-type", "not-yet"} {
		p.runs(id)
	}
	become()
	if r := p.runs("good"); r.Instance.PID != good.Instance.PID {
		t.Error("good was disturbed")
	}
}

// A host that runs one task ends with a code of its own for a file that it cannot use.
func TestWrongWorkersFileOfASingleProcess(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		text string // empty: there is no file
		code int    // 1 is the fate of a task that was begun
		want string
	}{
		"missing":       {"", 2, "the workers file (--workers) cannot be used: read FILE: no such file or directory"},
		"no YAML":       {"TaskWorkers:\n  a: [\n", 2, "workers.yml:2:3: this is no YAML"},
		"unknown key":   {"TaskWorkers:\n  a:\n    classNam: Script\n", 2, "workers.yml:3:5: TaskWorkers.a.classNam: unknown key: did you mean className?"},
		"no task":       {"TaskWorkers: {}\n", 2, "names no task under TaskWorkers"},
		"schema":        {"TaskWorkers:\n  a:\n    className: Script\n    attachments: {do: sing}\n", 1, "workers.yml:4:23: TaskWorkers.a.attachments.do: value must be one of"},
		"unknown class": {"TaskWorkers:\n  a:\n    className: Scirpt\n", 1, "workers.yml:3:16: TaskWorkers.a.className: no worker offers the class Scirpt"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "workers.yml")
			if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if tt.text != "" {
				writeFile(t, file, tt.text, 0o644)
			}
			_, errOut, code := command(t, nil, "host", "--mode", "single_process", "--workers", file, "--data-dir", filepath.Join(dir, "data"), "--plugins", built.plugins)
			if code != tt.code || !strings.Contains(errOut, strings.ReplaceAll(tt.want, "FILE", file)) {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, errOut)
			}
		})
	}
}
