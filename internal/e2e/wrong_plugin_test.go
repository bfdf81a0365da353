package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

const panickyName = "panicky"

// panicky panics in the hook that its attachments name.
type panicky struct{}

type panics struct {
	In string `json:"in"`
}

func servePanicky() {
	sdk.Serve(panickyName, "1.0.0", sdk.Class("Panicky", func() sdk.Worker[panics] { return panicky{} }, sdk.Resources(0.01, 1<<20)))
}

func (panicky) in(t *sdk.Task[panics], hook string) error {
	if t.Attachments().In == hook {
		panic("in " + hook)
	}
	return nil
}

func (p panicky) Before(_ context.Context, t *sdk.Task[panics]) error { return p.in(t, "Before") }

// Main fails for OnError, comes to its end for After and Release, never does for Never, and else waits for what the host
// asks of it.
func (p panicky) Main(ctx context.Context, t *sdk.Task[panics]) error {
	switch t.Attachments().In {
	case "Main", "OnError":
		return errors.Join(p.in(t, "Main"), errors.New("failed"))
	case "After", "Release":
		return nil
	case "Never":
		select {} // hears nothing
	}
	for ctx.Err() == nil {
		if err := t.Sleep(ctx, 1e6); err != nil {
			return err
		}
	}
	return ctx.Err()
}
func (p panicky) After(_ context.Context, t *sdk.Task[panics]) error   { return p.in(t, "After") }
func (p panicky) Release(_ context.Context, t *sdk.Task[panics]) error { return p.in(t, "Release") }
func (p panicky) OnError(_ context.Context, t *sdk.Task[panics], _ error) {
	_ = p.in(t, "OnError")
}

func (p panicky) Update(_ context.Context, t *sdk.Task[panics], _ panics) error {
	return p.in(t, "Update")
}
func (p panicky) Pause(_ context.Context, t *sdk.Task[panics]) error  { return p.in(t, "Pause") }
func (p panicky) Resume(_ context.Context, t *sdk.Task[panics]) error { return p.in(t, "Resume") }

// zoo is a folder of workers that holds a good one and the given programs, by "name@version".
func zoo(t testing.TB, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	copyWorker(t, dir, scriptedName)
	for ref, text := range programs {
		name, version, _ := strings.Cut(ref, "@")
		writeFile(t, filepath.Join(dir, name, version, name), text, 0o755)
	}
	return dir
}

// copyWorker puts the test binary into a folder of workers.
func copyWorker(t testing.TB, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name, "1.0.0", name)
	writeFile(t, path, string(b), 0o755)
	return path
}

func writeFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path+".tmp", []byte(text), mode), os.Rename(path+".tmp", path)); err != nil {
		t.Fatal(err)
	}
}

// describes is a program that describes itself well and then, started for a task, does as told.
func describes(name, classes, then string) string {
	return fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = describe ]; then echo '{\"name\":%q,\"version\":\"1.0.0\",\"protocol\":1,\"classes\":[%s]}'; exit 0; fi\n%s\n", name, classes, then)
}

func class(name string) string { return fmt.Sprintf(`{"className":%q}`, name) }

// with starts a standalone on a folder of workers of its own.
func with(t testing.TB, dir, plugins string, args ...string) *program {
	t.Helper()
	p := start(t, dir, append([]string{"standalone", "--data-dir", dir, "--listen", "127.0.0.1:0", "--plugins", plugins}, args...)...)
	p.connect()
	return p
}

func (p *program) offers(classes ...string) {
	p.t.Helper()
	p.until("classes are offered: "+strings.Join(classes, " "), func(ctx context.Context) bool {
		l, err := p.Workers(ctx)
		if err != nil {
			return false
		}
		offered := map[string]bool{}
		for _, w := range l.Items {
			for _, c := range w.Classes {
				offered[c.ClassName] = len(w.Nodes) > 0
			}
		}
		return !slices.ContainsFunc(classes, func(c string) bool { return !offered[c] })
	})
}

// in is the same program for a subtest.
func (p *program) in(t testing.TB) *program {
	q := *p
	q.t = t
	return &q
}

// Every way in which a worker's executable can be broken is told where a user looks, and keeps no other from being used.
func TestBrokenPlugins(t *testing.T) {
	plugins := zoo(t, map[string]string{
		"rubbish@1.0.0":  "#!/bin/sh\necho hello, I am no worker\n",
		"binary@1.0.0":   "\x7fELF\x00\x01\x02",
		"fails@1.0.0":    "#!/bin/sh\necho no licence found >&2\nexit 7\n",
		"sleeps@1.0.0":   "#!/bin/sh\nexec sleep 1000\n",
		"twice@1.0.0":    describes("twice", class("Twice")+","+class("Twice"), "exit 1"),
		"zthief@1.0.0":   describes("zthief", class("Script")+","+class("Own"), "exit 1"),
		"other@1.0.0":    describes("someone-else", class("Else"), "exit 1"),
		"hangs@1.0.0":    describes("hangs", class("Hangs"), "exec sleep 1000"),
		"babbles@1.0.0":  describes("babbles", class("Babbles"), "echo hello; exec sleep 1000"),
		"quits@1.0.0":    describes("quits", class("Quits"), "echo no licence found >&2; exit 7"),
		"speaks99@1.0.0": describes("speaks99", class("Speaks99"), `echo "1|99|unix|/nowhere|grpc"; exec sleep 1000`),
		"refuses@1.0.0":  describes("refuses", class("Refuses"), `echo "1|1|unix|/nowhere|grpc"; exec sleep 1000`),
	})
	writeFile(t, filepath.Join(plugins, "locked", "1.0.0", "locked"), "#!/bin/sh\n", 0o644)
	if err := os.MkdirAll(filepath.Join(plugins, "empty", "1.0.0"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := with(t, t.TempDir(), plugins)
	p.offers("Script", "Own", "Hangs", "Babbles", "Quits", "Speaks99", "Refuses") // though one of them still hangs
	p.create(task("good", "wait"))
	good := p.runs("good")

	want := map[string]string{
		"rubbish": `printed no description but "hello, I am no worker": is it a Skalds worker?`,
		"binary":  "is no program for this machine",
		"fails":   `"no licence found"`,
		"sleeps":  "describe",
		"twice":   "offers the class Twice twice: rename one of them",
		"zthief":  "not used for Script (offered by scripted already): rename the class or remove one of the workers",
		"other":   "move it to someone-else/1.0.0/someone-else",
		"locked":  "is not executable: run chmod +x on it",
		"empty":   "the executable must have the name of the worker",
	}
	var workers api.WorkerList
	p.until("every broken file is named", func(ctx context.Context) bool {
		var err error
		workers, err = p.Workers(ctx)
		return err == nil && len(workers.Problems) == len(want)
	})
	for _, pr := range workers.Problems {
		name, _, _ := strings.Cut(strings.TrimPrefix(pr.Path, plugins+"/"), "/")
		if text, ok := want[name]; !ok || !strings.Contains(pr.Reason, text) {
			t.Errorf("%s: %s, want %q", pr.Path, pr.Reason, text)
		}
	}
	for _, args := range [][]string{{"doctor"}, {"worker", "list"}, {"node", "get", *good.Executor}} {
		out, _, _ := command(t, p, args...)
		for name := range want {
			if !strings.Contains(out, filepath.Join(plugins, name)) {
				t.Errorf("skalds %s does not name %s:\n%s", strings.Join(args, " "), name, out)
			}
		}
	}

	short := func(class string, attempts int) func(*api.CreateTask) {
		return func(c *api.CreateTask) {
			c.ClassName, c.Attachments = class, nil
			c.Retry.MaxAttempts, c.Timeouts.Start = attempts, skalds.Duration(1e9)
		}
	}
	for class, exit := range map[string]struct {
		kind  skalds.ExitKind
		text  string
		tries int
	}{
		"Hangs":    {skalds.ExitStartTimeout, "no handshake came", 1},
		"Babbles":  {skalds.ExitStartTimeout, `"hello"`, 1},
		"Quits":    {skalds.ExitHandshake, `exit code 7 before it was ready; it said "no licence found"`, 1},
		"Speaks99": {skalds.ExitHandshake, "speaks version 99 of the worker protocol, this host speaks 1: build it with the SDK", 3},
		"Refuses":  {skalds.ExitHandshake, "shook hands and then", 1},
	} {
		t.Run(class, func(t *testing.T) {
			p := p.in(t)
			p.create(task(class, "", short(class, exit.tries)))
			r := p.ends(class)
			if r.LifecycleStatus != skalds.Failed || r.LastExit == nil || r.LastExit.Kind != exit.kind || !strings.Contains(r.LastExit.Message, exit.text) || strings.Contains(r.LastExit.Message, "\n") {
				t.Errorf("it is %s by %+v", r.LifecycleStatus, r.LastExit)
			}
		})
	}
	if r := p.runs("good"); r.Instance.PID != good.Instance.PID {
		t.Error("the good worker was disturbed")
	}

	// Repaired files are found without a restart.
	if err := os.Chmod(filepath.Join(plugins, "locked", "1.0.0", "locked"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(plugins, "locked", "1.0.0", "locked"), describes("locked", class("Unlocked"), "exit 1"), 0o755)
	p.offers("Unlocked")
}

// A panic of any hook ends the attempt at most, says in which hook it was, and disturbs no other task.
func TestPanicsInHooks(t *testing.T) {
	plugins := zoo(t, nil)
	copyWorker(t, plugins, panickyName)
	p := with(t, t.TempDir(), plugins)
	p.offers("Script", "Panicky")
	p.create(task("neighbour", "wait"))
	neighbour := p.runs("neighbour")
	in := func(hook string) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"in":%q}`, hook)) }
	create := func(p *program, hook string) {
		p.create(api.CreateTask{ID: hook, ClassName: "Panicky", Attachments: in(hook), Retry: skalds.Retry{MaxAttempts: 1}})
	}
	for hook, want := range map[string]string{
		"Before": "Before: panic: in Before", "Main": "panic: in Main", "After": "After: panic: in After", "Release": "Release: panic: in Release",
	} {
		t.Run(hook, func(t *testing.T) {
			p := p.in(t)
			create(p, hook)
			x := p.ends(hook).LastExit
			if x == nil || x.Kind != skalds.ExitPanic || x.Message != want || !strings.Contains(x.Stack, "panicky") {
				t.Errorf("it ended by %+v", x)
			}
		})
	}
	t.Run("OnError", func(t *testing.T) { // what made the attempt fail counts, the panic is in the log
		p := p.in(t)
		create(p, "OnError")
		if x := p.ends("OnError").LastExit; x == nil || x.Kind != skalds.ExitError || x.Message != "failed" {
			t.Errorf("it ended by %+v", x)
		}
		if text := p.logTail(t.Context(), "OnError", 50); !strings.Contains(text, "panic: in OnError") {
			t.Errorf("the log says %s", text)
		}
	})
	t.Run("Update", func(t *testing.T) { // refused: the task goes on with what it had
		p := p.in(t)
		p.create(api.CreateTask{ID: "Update", ClassName: "Panicky", Attachments: in(""), Retry: skalds.Retry{MaxAttempts: 1}})
		before := p.runs("Update")
		if _, err := p.UpdateAttachments(t.Context(), "Update", in("Update"), 0); err != nil {
			t.Fatal(err)
		}
		r := p.becomes("Update", "says that the change was refused", func(r api.TaskResponse) bool {
			return r.Error != nil && strings.Contains(*r.Error, "the old ones hold") && strings.Contains(*r.Error, "panic: in Update")
		})
		if r.LifecycleStatus != skalds.Running || r.Instance == nil || r.Instance.PID != before.Instance.PID {
			t.Errorf("it is %s with %+v", r.LifecycleStatus, r.Instance)
		}
	})
	pause := func(p *program, id string) {
		p.runs(id)
		if _, err := p.Pause(p.t.Context(), id); err != nil {
			p.t.Fatal(err)
		}
		p.becomes(id, "is paused", func(r api.TaskResponse) bool { return r.LifecycleStatus == skalds.Paused })
	}
	t.Run("Pause", func(t *testing.T) { // it is frozen instead
		p := p.in(t)
		create(p, "Pause")
		pause(p, "Pause")
		if _, err := p.Resume(t.Context(), "Pause"); err != nil {
			t.Fatal(err)
		}
		p.runs("Pause")
	})
	t.Run("Resume", func(t *testing.T) { // its process is ended, since nobody knows what state it is in
		p := p.in(t)
		create(p, "Resume")
		pause(p, "Resume")
		if _, err := p.Resume(t.Context(), "Resume"); err != nil {
			t.Fatal(err)
		}
		if x := p.ends("Resume").LastExit; x == nil || !strings.Contains(x.Message, "panic: in Resume") {
			t.Errorf("it ended by %+v", x)
		}
	})
	if r := p.runs("neighbour"); r.Instance.PID != neighbour.Instance.PID {
		t.Error("the neighbour was disturbed")
	}
}

// A worker whose executable is removed goes on; a task that needs it says so and runs as soon as it is back.
func TestRemovedExecutable(t *testing.T) {
	plugins := zoo(t, nil)
	p := with(t, t.TempDir(), plugins)
	p.offers("Script")
	p.create(task("there", "wait"))
	before := p.runs("there")
	file := filepath.Join(plugins, scriptedName, "1.0.0", scriptedName)
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	p.until("the node offers it no more", func(ctx context.Context) bool {
		n, err := p.Node(ctx, *before.Executor)
		return err == nil && !slices.Contains(n.SupportedTasks, "Script") && len(n.Problems) == 1 && strings.Contains(n.Problems[0].Reason, "does not exist")
	})
	if _, err := p.CreateTask(t.Context(), task("late", "wait"), ""); skalds.CodeOf(err) != skalds.CodeInvalid || !strings.Contains(err.Error(), "no node offers a worker: copy one into the plugins folder of a node") {
		t.Errorf("a task of a class that nobody offers any more: %v", err)
	}
	killPID(t, before.Instance.PID)
	p.becomes("there", "says why it does not run", func(r api.TaskResponse) bool {
		return r.Instance == nil || r.Instance.PID == 0 || syscall.Kill(r.Instance.PID, 0) != nil
	})
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	after := p.becomes("there", "runs again", func(r api.TaskResponse) bool {
		return r.LifecycleStatus == skalds.Running && r.Instance != nil && r.Instance.PID > 0 && r.Instance.PID != before.Instance.PID
	})
	if after.BudgetUsed != 1 { // the kill; that its worker was away costs nothing
		t.Errorf("%d attempts were counted", after.BudgetUsed)
	}
}
