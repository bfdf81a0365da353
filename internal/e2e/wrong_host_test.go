package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/embedded"
)

// A program that cannot start says so in one line, which names what to do, and ends with the code for it.
func TestWrongStart(t *testing.T) {
	dir := t.TempDir()
	running := standalone(t, dir)
	port := strings.TrimPrefix(running.Server(), "http://")
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		writeFile(t, path, text, 0o600)
		return path
	}
	folder := func(change func(path string)) string {
		path := t.TempDir()
		for _, d := range []string{"host", "bus"} {
			if err := os.MkdirAll(filepath.Join(path, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		change(path)
		return path
	}
	join, err := os.ReadFile(filepath.Join(dir, embedded.JoinFile))
	if err != nil {
		t.Fatal(err)
	}
	const any = "127.0.0.1:0"
	for name, tt := range map[string]struct {
		args string
		code int
		want string
	}{
		"port in use":             {"standalone --data-dir NEW --listen " + port, 5, port + " is in use by another program: stop it, or name another address with --listen"},
		"folder in use":           {"standalone --data-dir " + dir + " --listen " + any, 5, "is in use by another skalds (pid "},
		"both in use":             {"standalone --data-dir " + dir + " --listen " + port, 5, "is in use by another skalds (pid "},
		"folder of a host in use": {"host --mode edge --workers w.yml --data-dir " + dir, 5, "is in use by another host (pid "},
		"open to all":             {"standalone --data-dir NEW --listen 0.0.0.0:0", 2, "refusing to listen on 0.0.0.0:0 without a token, because everybody who reaches it could run tasks: set SKALDS_TOKEN, or listen on 127.0.0.1"},
		"no address":              {"standalone --data-dir NEW --listen nonsense", 2, `flag --listen: "nonsense" is not of the form 127.0.0.1:8000`},
		"no port":                 {"standalone --data-dir NEW --listen 127.0.0.1:99999", 2, "99999 is no port"},
		"foreign address":         {"standalone --data-dir NEW --token x --listen 203.0.113.1:8000", 2, "cannot listen on 203.0.113.1:8000: cannot assign requested address: name another address with --listen"},
		"folder is a file":        {"standalone --listen " + any + " --data-dir " + file("f", "x"), 6, "cannot be used: check its permissions and free space, or choose another --data-dir"},
		"folder cannot be made":   {"standalone --listen " + any + " --data-dir /proc/skalds", 6, "the data folder /proc/skalds cannot be used"},
		"folder of a newer version": {
			"standalone --listen " + any + " --data-dir " + folder(func(p string) { writeFile(t, p+"/schema", "99\n", 0o600) }), 5,
			"was written by a newer version of skalds (schema 99, this one knows 1): upgrade skalds or choose another --data-dir",
		},
		"no schema": {"standalone --listen " + any + " --data-dir " + folder(func(p string) { writeFile(t, p+"/schema", "x", 0o600) }), 5, "does not say which version of skalds wrote the folder"},
		"no store":  {"standalone --listen " + any + " --data-dir " + folder(func(p string) { writeFile(t, p+"/skalds.db", "rubbish, and long enough to be a header", 0o600) }), 6, "skalds.db is damaged or no store of skalds: move it away and restore a backup"},
		"no journal": {
			"standalone --listen " + any + " --data-dir " + folder(func(p string) { writeFile(t, p+"/host/journal", "rubbish", 0o600) }), 1,
			"the file is no journal of a Skalds host: move it away to start with an empty one",
		},
		"no nodes":             {"standalone --nodes 0", 2, "use 1 to 64"},
		"unknown flag":         {"standalone --nope", 2, "unknown flag: --nope"},
		"too many arguments":   {"standalone extra", 2, `"extra"`},
		"settings: no YAML":    {"standalone --config " + file("s.yml", "log_level: [1"), 2, "s.yml:1:1: this is no YAML"},
		"settings: unknown":    {"standalone --config " + file("s.yml", "log_levle: INFO\n"), 2, "s.yml:1: unknown key log_levle: did you mean log_level?"},
		"settings: value":      {"standalone --config " + file("s.yml", "skalds_lease: soon\n"), 2, `s.yml:1: skalds_lease: duration "soon" is not of the form 1m30s`},
		"settings: no file":    {"standalone --config /nowhere/s.yml", 2, "read /nowhere/s.yml: no such file or directory"},
		"host without mode":    {"host --mode wat", 2, `flag --mode: "wat" is none of node, edge, single_process`},
		"edge without file":    {"host --mode edge --data-dir NEW", 2, "name one with --workers"},
		"single without file":  {"host --mode single_process --data-dir NEW", 2, "a host in single_process mode needs a workers file: name one with --workers"},
		"too large a share":    {"host --mode edge --workers w.yml --data-dir NEW --capacity-share 2", 2, "flag --capacity-share: 2 is no part of the machine: use above 0 and at most 1"},
		"no number as a share": {"host --mode edge --workers w.yml --data-dir NEW --capacity-share NaN", 2, "flag --capacity-share: NaN is no part of the machine"},
		"node without servers": {"host --mode node --data-dir NEW", 2, "name the join file of a standalone with --join"},
		"bus alone":            {"host --mode edge --workers w.yml --data-dir NEW --config " + file("s.yml", "kafka_host: 127.0.0.1\n"), 2, "KAFKA_HOST is set and REDIS_HOST is missing: a host needs both"},
		"Redis alone":          {"host --mode node --data-dir NEW --config " + file("s.yml", "redis_host: 127.0.0.1\n"), 2, "REDIS_HOST is set and KAFKA_HOST is missing: a host needs both"},
		"join file missing":    {"host --mode node --data-dir NEW --join /nowhere/join.json", 2, "cannot read /nowhere/join.json: name the join.json in the data folder of a running `skalds standalone`"},
		"join file rubbish":    {"host --mode node --data-dir NEW --join " + file("j.json", "rubbish"), 2, "j.json is no join file of skalds"},
		"join file empty":      {"host --mode node --data-dir NEW --join " + file("j.json", "{}"), 2, "it names no kafkaBrokers or no redisAddr"},
	} {
		t.Run(name, func(t *testing.T) {
			args := strings.Fields(strings.ReplaceAll(tt.args, "NEW", filepath.Join(t.TempDir(), "new")))
			_, errOut, code := command(t, nil, args...)
			told := 0
			for line := range strings.Lines(errOut) {
				if strings.HasPrefix(line, "skalds: ") {
					told++
				}
			}
			if code != tt.code || !strings.Contains(errOut, tt.want) || told != 1 {
				t.Errorf("exit code %d, want %d and one line with %q:\n%s", code, tt.code, tt.want, errOut)
			}
		})
	}
	// The one that runs was not disturbed.
	running.create(task("after", "finish"))
	running.ends("after")
	if now, err := os.ReadFile(filepath.Join(dir, embedded.JoinFile)); err != nil || !bytes.Equal(now, join) {
		t.Errorf("its join file has changed: %v", err)
	}
}

// Two hosts with one name: the second one refuses and says so, the first goes on.
func TestTwoHostsWithOneID(t *testing.T) {
	dir := t.TempDir()
	p := standalone(t, dir)
	host := func(folder string) *program {
		return start(t, dir, "host", "--mode", "node", "--join", dir, "--data-dir", filepath.Join(dir, folder), "--node-id", "twin", "--labels", "zone=b")
	}
	first := host("first")
	p.until("the first is online", func(ctx context.Context) bool {
		n, err := p.Node(ctx, "twin")
		return err == nil && n.Status == "online"
	})
	p.create(task("there", "wait", on("zone=b")))
	before := p.runs("there")
	second := host("second")
	select {
	case <-second.exited:
	case <-time.After(patience):
		t.Fatal("the second host runs")
	}
	text := second.log.String()
	if code := second.cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(text, "twin") || !strings.Contains(tail(text, 2), "skalds: ") || !strings.Contains(text, "--node-id") {
		t.Errorf("exit code %d\n%s", code, tail(text, 20))
	}
	if after := p.runs("there"); after.Instance.PID != before.Instance.PID || after.Epoch != before.Epoch {
		t.Error("the task of the first was disturbed")
	}
	select {
	case <-first.exited:
		t.Errorf("the first has ended\n%s", tail(first.log.String(), 20))
	default:
	}
}

// A join file of servers that are gone, or whose passwords have changed: the host keeps trying, says what is wrong, and
// takes part as soon as they are back.
func TestStaleJoinFile(t *testing.T) {
	dir := t.TempDir()
	p := standalone(t, dir)
	j, err := embedded.ReadJoin(dir)
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	host := start(t, dir, "host", "--mode", "node", "--join", dir, "--data-dir", filepath.Join(dir, "second"), "--node-id", "second")
	host.wait("it says that nothing answers", func() bool {
		return strings.Contains(host.log.String(), "the bus does not answer: trying again until it does")
	})
	p = standalone(t, dir)
	p.until("it takes part", func(ctx context.Context) bool {
		n, err := p.Node(ctx, "second")
		return err == nil && n.Status == "online"
	})
	j.KafkaPassword, j.RedisPassword = "old", "old"
	b, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "old.json")
	writeFile(t, old, string(b), 0o600)
	third := start(t, dir, "host", "--mode", "node", "--join", old, "--data-dir", filepath.Join(dir, "third"), "--node-id", "third")
	third.wait("it says that its password is refused", func() bool { return strings.Contains(third.log.String(), "password") })
	if code := third.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, tail(third.log.String(), 20))
	}
}

// stopsWithin waits for the end after signals.
func stopsWithin(t *testing.T, c *exec.Cmd, limit time.Duration) int {
	t.Helper()
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(limit):
		_ = c.Process.Kill()
		<-ended
		t.Fatalf("it does not end within %s", limit)
	}
	return c.ProcessState.ExitCode()
}

// SIGTERM at any moment of a start ends the program, cleanly where it had begun, and nothing is left behind.
func TestTerminatedWhileStarting(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "workers.yml")
	writeFile(t, file, "TaskWorkers:\n  a:\n    className: Script\n    attachments: {do: wait}\n", 0o644)
	for _, delay := range []time.Duration{0, 10, 20, 40, 60, 80, 100, 150, 200, 300, 400} {
		c := exec.Command(built.skalds, "standalone", "--data-dir", dir, "--listen", "127.0.0.1:0", "--workers", file, "--plugins", built.plugins)
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		c.Env = append(os.Environ(), "TMPDIR="+built.dir, "XDG_RUNTIME_DIR="+built.tmp)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay * time.Millisecond) // the moment is the point
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		code := stopsWithin(t, c, 20*time.Second)
		if early := !strings.Contains(out.String(), "skalds is up"); code != 0 && (!early || code != -1 && code != 130) {
			t.Errorf("after %s: exit code %d\n%s", delay*time.Millisecond, code, out.String())
		}
		if strings.Contains(out.String(), "[ERROR]") || strings.Contains(out.String(), "panic") {
			t.Errorf("after %s it complains:\n%s", delay*time.Millisecond, out.String())
		}
		if left := processesOf(built.dir); len(left) > 0 {
			t.Fatalf("after %s: left behind %v", delay*time.Millisecond, left)
		}
	}
}

// A terminal that is closed ends the program as Ctrl-C does, with time for its workers; under nohup it has no effect.
func TestHungUp(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("these tests run under nohup, and so does what they start")
	}
	dir := t.TempDir()
	p := standalone(t, dir)
	p.create(task("kept", "wait"))
	first := p.runs("kept")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(p.log.String(), "stopping the task's process") {
		t.Errorf("exit code %d\n%s", code, tail(p.log.String(), 20))
	}

	signal.Ignore(syscall.SIGHUP) // what nohup does: children inherit it
	t.Cleanup(func() { signal.Reset(syscall.SIGHUP) })
	p = standalone(t, dir)
	before := p.becomes("kept", "runs again", func(r api.TaskResponse) bool {
		return r.LifecycleStatus == skalds.Running && r.Instance != nil && r.Instance.PID != first.Instance.PID
	})
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.create(task("after", "finish"))
	p.ends("after")
	if r := p.runs("kept"); r.Instance.PID != before.Instance.PID {
		t.Error("its task was disturbed")
	}
}

// The first Ctrl-C waits for workers, the second one does not: it ends the program at once, and its workers with it.
func TestInterruptedTwice(t *testing.T) {
	plugins := zoo(t, nil)
	copyWorker(t, plugins, panickyName)
	dir := t.TempDir()
	p := with(t, dir, plugins, "--grace", "10m")
	p.offers("Panicky")
	p.create(api.CreateTask{ID: "deaf", ClassName: "Panicky", Attachments: json.RawMessage(`{"in":"Never"}`)})
	r := p.runs("deaf")
	interrupt := func() {
		if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	p.wait("it waits for its worker", func() bool { return strings.Contains(p.log.String(), "stopping the task's process") })
	interrupt()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("the second interrupt does not end it")
	}
	if code := p.cmd.ProcessState.ExitCode(); code == 0 {
		t.Error("exit code 0, though it left its worker to its end")
	}
	for end := time.Now().Add(5 * goneWithin); syscall.Kill(r.Instance.PID, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("its worker was left behind")
		}
	}
	p = with(t, dir, plugins) // and nothing is lost
	if again := p.runs("deaf"); again.BudgetUsed != 0 {
		t.Errorf("it cost %d attempts", again.BudgetUsed)
	}
}
