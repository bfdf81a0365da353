package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// task builds a request for the class Script.
func task(id, do string, change ...func(*api.CreateTask)) api.CreateTask {
	c := api.CreateTask{ID: id, ClassName: "Script", Attachments: json.RawMessage(fmt.Sprintf(`{"do":%q}`, do))}
	for _, f := range change {
		f(&c)
	}
	return c
}

// create creates a task.
func (p *program) create(c api.CreateTask) {
	p.t.Helper()
	if _, err := p.CreateTask(p.t.Context(), c, ""); err != nil {
		p.t.Fatalf("create %s: %v", c.ID, err)
	}
}

// becomes waits until a task satisfies ok and returns it.
func (p *program) becomes(id, what string, ok func(api.TaskResponse) bool) (r api.TaskResponse) {
	p.t.Helper()
	p.until("task "+id+" "+what, func(ctx context.Context) bool {
		var err error
		r, err = p.Task(ctx, id)
		return err == nil && ok(r)
	})
	return r
}

// runs waits until a process of a task is in Main.
func (p *program) runs(id string) api.TaskResponse {
	p.t.Helper()
	return p.becomes(id, "runs", func(r api.TaskResponse) bool {
		return r.LifecycleStatus == skalds.Running && r.Phase == skalds.PhaseNone && r.Instance != nil && r.Instance.PID > 0
	})
}

// ends waits until a task has ended, and says how.
func (p *program) ends(id string) api.TaskResponse {
	p.t.Helper()
	return p.becomes(id, "ends", func(r api.TaskResponse) bool { return r.LifecycleStatus.Final() })
}

// TestLifeOfATask walks one task through everything that a user can do with it.
func TestLifeOfATask(t *testing.T) {
	p := standalone(t, t.TempDir())
	p.create(task("life", "chatter", func(c *api.CreateTask) { c.Attachments = json.RawMessage(`{"do":"chatter","millis":5,"text":"one"}`) }))
	first := p.runs("life")
	p.becomes("life", "shows progress and usage", func(r api.TaskResponse) bool {
		return r.Progress.Units > 0 && r.Usage != nil && r.Usage.MemoryBytes > 1<<20
	})

	// Its process is killed: it comes back, and the report says why it was away.
	if err := syscall.Kill(first.Instance.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := p.becomes("life", "runs again", func(r api.TaskResponse) bool {
		return r.Attempt == 2 && r.Phase == skalds.PhaseNone && r.Instance != nil && r.Instance.PID != first.Instance.PID
	})
	if second.LastExit == nil || second.LastExit.Kind != skalds.ExitSignal || second.LastExit.Signal == "" {
		t.Errorf("last exit %+v", second.LastExit)
	}

	// New attachments reach it while it runs, in the same process.
	if _, err := p.UpdateAttachments(t.Context(), "life", json.RawMessage(`{"do":"chatter","millis":5,"text":"two"}`), 0); err != nil {
		t.Fatal(err)
	}
	p.until("the new text is in the log", func(ctx context.Context) bool { return strings.Contains(p.logTail(ctx, "life", 5), "text=two") })
	if r := p.runs("life"); r.Instance.PID != second.Instance.PID {
		t.Error("the process was exchanged")
	}
	if _, err := p.UpdateAttachments(t.Context(), "life", json.RawMessage(`{"do":"nonsense"}`), 0); err == nil || !strings.Contains(err.Error(), "attachments.do") {
		t.Errorf("attachments that miss the schema: %v", err)
	}

	// Paused, it uses no CPU and makes no progress.
	if _, err := p.Pause(t.Context(), "life"); err != nil {
		t.Fatal(err)
	}
	paused := p.becomes("life", "is paused", func(r api.TaskResponse) bool { return r.LifecycleStatus == skalds.Paused })
	cpu := cpuTicks(t, second.Instance.PID)
	p.until("a heartbeat later", func(ctx context.Context) bool {
		r, err := p.Task(ctx, "life")
		return err == nil && r.Usage != nil && r.Usage.CPUCores == 0
	})
	if now := cpuTicks(t, second.Instance.PID); now != cpu {
		t.Errorf("it used %d ticks of CPU while paused", now-cpu)
	}
	if paused.Instance == nil || paused.Instance.PID != second.Instance.PID {
		t.Errorf("paused: instance %+v", paused.Instance)
	}
	if _, err := p.Resume(t.Context(), "life"); err != nil {
		t.Fatal(err)
	}
	p.runs("life")

	if _, err := p.Cancel(t.Context(), "life"); err != nil {
		t.Fatal(err)
	}
	p.ends("life")
	p.wait("its process is gone", func() bool { return syscall.Kill(second.Instance.PID, 0) != nil })
	var attempts []skalds.Attempt
	p.until("both attempts are reported", func(ctx context.Context) bool {
		var err error
		attempts, err = p.Attempts(ctx, "life")
		return err == nil && len(attempts) == 2 && attempts[1].Exit != nil
	})
	for i, want := range []skalds.ExitKind{skalds.ExitSignal, skalds.ExitCancelled} {
		a := attempts[i]
		if a.Exit == nil || a.Exit.Kind != want || a.Peak.MemoryBytes == 0 || a.LogTail == "" || a.PID == 0 {
			t.Errorf("attempt %d: %+v, want exit %s with peak and log", i+1, a, want)
		}
	}
}

func (p *program) logTail(ctx context.Context, id string, lines int) string {
	r, err := p.Logs(ctx, id, lines, false)
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	var b strings.Builder
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}

// cpuTicks is the CPU that a process has used, in clock ticks (proc_pid_stat(5), fields 14 and 15).
func cpuTicks(t *testing.T, pid int) (ticks int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, system int
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return user + system
}

// TestCommands asks the program by its own commands, and looks at the exit codes.
func TestCommands(t *testing.T) {
	p := standalone(t, t.TempDir())
	for _, c := range []struct {
		args []string
		out  string // part of what is printed
		err  string // part of what is said on standard error
		code int
	}{
		{[]string{"task", "create", "Script", "--id", "by-command", "--set", "do=finish", "--wait"}, "Finished", "", 0},
		{[]string{"task", "create", "Script", "--id", "by-command", "--set", "do=finish"}, "", "there is a task", 5},
		{[]string{"task", "create", "Script", "--set", "do=nonsense"}, "", "attachments.do", 3},
		{[]string{"task", "create", "Nobody"}, "", "known classes: RTSPRecorder, Script, TestCamera", 3},
		{[]string{"task", "get", "nothing"}, "", "nothing", 4},
		{[]string{"task", "list", "-o", "name"}, "by-command\n", "", 0},
		{[]string{"task", "wiat"}, "", "list or wait?", 2},
		{[]string{"standalone", "too", "much"}, "", "takes no argument", 2},
		{[]string{"config", "check"}, "can be used", "", 0},
		{[]string{"config", "show"}, "skalds_data_dir", "", 0},
		{[]string{"version"}, "skalds", "", 0},
	} {
		out, errOut, code := command(t, p, c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errOut, c.err) {
			t.Errorf("skalds %s: exit code %d, want %d\n%s%s", strings.Join(c.args, " "), code, c.code, out, errOut)
		}
	}
}

// TestStateSurvivesARestart stops the program and starts it again on the same folder.
func TestStateSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	p := standalone(t, dir)
	p.create(task("done", "finish"))
	p.ends("done")
	p.create(task("goes-on", "wait"))
	before := p.runs("goes-on")
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, tail(p.log.String(), 30))
	}
	if syscall.Kill(before.Instance.PID, 0) == nil {
		t.Error("its worker was left behind")
	}
	p = standalone(t, dir)
	if r := p.ends("done"); r.LifecycleStatus != skalds.Finished {
		t.Errorf("done is %s", r.LifecycleStatus)
	}
	after := p.becomes("goes-on", "runs again", func(r api.TaskResponse) bool {
		return r.LifecycleStatus == skalds.Running && r.Epoch > before.Epoch && r.Instance != nil && r.Instance.PID != before.Instance.PID
	})
	if after.BudgetUsed != 0 {
		t.Errorf("%d of its budget used", after.BudgetUsed)
	}
	if n := noted(dir, "done", "began"); n != 1 {
		t.Errorf("the finished task ran %d times", n)
	}
}

// TestMany runs 500 tasks at once, one process each.
func TestMany(t *testing.T) {
	dir := t.TempDir()
	p := standalone(t, dir)
	const n = 500
	started := time.Now()
	for i := range n {
		p.create(task(fmt.Sprintf("m%d", i), "finish"))
	}
	p.until("all have ended", func(ctx context.Context) bool {
		d, err := p.Summary(ctx)
		return err == nil && d.FinishedTasks+d.FailedTasks+d.CancelledTasks == n
	})
	t.Logf("%d tasks in %s", n, time.Since(started).Round(time.Millisecond))
	for i := range n {
		id := fmt.Sprintf("m%d", i)
		if r := p.ends(id); r.LifecycleStatus != skalds.Finished || noted(dir, id, "finished") != 1 {
			t.Errorf("%s is %s and finished %d times", id, r.LifecycleStatus, noted(dir, id, "finished"))
		}
	}
}
