//go:build unix

package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/sdktest"
)

// envScripted makes the test binary be a worker.
const envScripted = "SKALDS_SDK_TEST_WORKER"

func TestMain(m *testing.M) {
	switch os.Getenv(envScripted) {
	case "foreign":
		os.Exit(serveForeign())
	case "parent":
		os.Exit(serveByAChild())
	case "1":
		sdk.Serve("scripted", "0.1.0", sdk.Class("Script", func() sdk.Worker[script] { return scriptWorker{} }))
	}
	os.Exit(m.Run())
}

// script tells the worker what to do.
type script struct {
	Do    string `json:"do,omitempty"`
	Count int    `json:"count,omitempty"`
}

type scriptWorker struct{}

// limits is what the process looks like from inside.
type limits struct {
	MemLimit int64
	MaxProcs int
	Debug    bool
	Env      string
}

func (scriptWorker) Release(_ context.Context, t *sdk.Task[script]) error {
	return os.WriteFile(filepath.Join(t.DataDir(), "released"), nil, 0o600)
}

func (scriptWorker) Main(ctx context.Context, t *sdk.Task[script]) error {
	t.AddUnits("items", 1)
	switch t.Attachments().Do {
	case "print":
		fmt.Println("a stray print")
		fmt.Fprintln(os.Stderr, "a stray word of standard error")
		_, _ = os.NewFile(1, "raw").WriteString("a raw print\n")
		_, _ = os.NewFile(2, "raw").WriteString("a raw word of standard error\n")
		t.Log().Info("a log line")
		return sdk.Command(ctx, "echo", "a child's print").Run()
	case "fail":
		return errors.New("as told")
	case "panic":
		panic("as told")
	case "wait":
		<-ctx.Done()
		return context.Cause(ctx)
	case "limits":
		return t.Result(limits{debug.SetMemoryLimit(-1), runtime.GOMAXPROCS(0), t.Log().IsDebug(), os.Getenv("TOLD_BY_RUN")})
	case "save":
		return t.SaveCheckpoint(ctx, []byte("saved by a process"))
	case "child":
		child := sdk.Command(ctx, "sleep", "600")
		if err := child.Start(); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(t.DataDir(), "child"), []byte(strconv.Itoa(child.Process.Pid)), 0o600); err != nil {
			return err
		}
		t.AddUnits("items", 1)
		return child.Wait()
	case "orphans":
		return makeOrphans()
	case "stray": // a child that leaves the process group
		stray := exec.Command("sleep", "600")
		stray.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := stray.Start(); err != nil {
			return err
		}
		pids := fmt.Sprintf("%d %d", os.Getpid(), stray.Process.Pid)
		if err := os.WriteFile(filepath.Join(t.DataDir(), "pids"), []byte(pids), 0o600); err != nil {
			return err
		}
		t.AddUnits("items", 1)
		return stray.Wait()
	}
	return t.Result(map[string]int{"count": t.Attachments().Count})
}

// makeOrphans leaves processes to the first process of the pid namespace, which is this one, and returns when it has reaped
// them. Meanwhile it starts children and waits for them.
func makeOrphans() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("this is process %d", os.Getpid())
	}
	var wg sync.WaitGroup
	faults := make(chan error, 1000)
	for range 4 {
		wg.Go(func() {
			for range 25 {
				var exit *exec.ExitError
				if err := exec.Command("sh", "-c", "exit 3").Run(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
					faults <- fmt.Errorf("a child's end was stolen: %w", err)
				}
			}
		})
	}
	var orphans []int
	for range 20 {
		out, err := exec.Command("sh", "-c", "sleep 0.02 >&- 2>&- & echo $!").Output()
		if err != nil {
			faults <- err
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			faults <- err
			continue
		}
		orphans = append(orphans, pid)
	}
	wg.Wait()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		orphans = slices.DeleteFunc(orphans, func(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }) // a zombie can be signalled
		if len(orphans) == 0 {
			break
		}
		if time.Now().After(deadline) {
			faults <- fmt.Errorf("%d orphans are still there", len(orphans))
			break
		}
	}
	close(faults)
	var errs []error
	for err := range faults {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// lockedBuffer is a writer that a test may read meanwhile.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// launched is a worker in a process of its own.
type launched struct {
	worker   protocol.Worker
	cmd      *exec.Cmd
	stderr   *lockedBuffer
	liveness *os.File // the host's end
	client   *plugin.Client
	host     *sdktest.Host
}

// launch starts the test binary as a host would.
func launch(t *testing.T) *launched { return launchAs(t, "1") }

func launchAs(t *testing.T, role string, env ...string) *launched {
	t.Helper()
	return launchWith(t, role, &syscall.SysProcAttr{Setpgid: true}, env...)
}

func launchWith(t *testing.T, role string, attr *syscall.SysProcAttr, env ...string) *launched {
	t.Helper()
	sockets, err := os.MkdirTemp("", "sdk")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(sockets, "host"))
	if err != nil {
		t.Fatal(err)
	}
	host := sdktest.NewHost(nil)
	services := protocol.NewHostServicesServer(host, "secret token")
	served := make(chan struct{})
	go func() { defer close(served); _ = services.Serve(listener) }()
	t.Cleanup(func() { services.Stop(); <-served; _ = os.RemoveAll(sockets) })
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &launched{stderr: &lockedBuffer{}, liveness: w, host: host}
	l.cmd = exec.Command(os.Args[0])
	l.cmd.Env = append(os.Environ(), envScripted+"="+role, protocol.EnvTokenFile+"="+token, protocol.EnvLivenessFD+"=3",
		protocol.EnvHostSocket+"="+listener.Addr().String(), plugin.EnvUnixSocketDir+"="+sockets)
	l.cmd.Env = append(l.cmd.Env, env...)
	l.cmd.ExtraFiles = []*os.File{r}
	l.cmd.SysProcAttr = attr
	l.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: protocol.Handshake(), Plugins: protocol.Plugins(nil, "secret token"), Cmd: l.cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, Stderr: l.stderr, SyncStderr: io.Discard, SyncStdout: io.Discard,
		Logger: hclog.NewNullLogger(), StartTimeout: 30 * time.Second,
	})
	t.Cleanup(func() {
		if l.cmd.Process != nil {
			_ = syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL)
		}
		l.client.Kill()
		_ = w.Close()
	})
	conn, err := l.client.Client()
	_ = r.Close()
	if err != nil {
		t.Fatalf("launch: %v\n%s", err, l.stderr)
	}
	raw, err := conn.Dispense(protocol.PluginName)
	if err != nil {
		t.Fatal(err)
	}
	l.worker = raw.(protocol.Worker)
	return l
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func (l *launched) run(t *testing.T, dir, doc string) (events func() []protocol.RunEvent, end <-chan error) {
	t.Helper()
	var mu sync.Mutex
	var seen []protocol.RunEvent
	res := make(chan error, 1)
	go func() {
		res <- l.worker.Run(context.WithoutCancel(t.Context()), protocol.RunRequest{
			TaskID: "t", ClassName: "Script", Epoch: 1, Attempt: 1, DataDir: dir, Attachments: json.RawMessage(doc),
		}, func(e protocol.RunEvent) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, e)
		})
	}()
	return func() []protocol.RunEvent {
		mu.Lock()
		defer mu.Unlock()
		return append([]protocol.RunEvent(nil), seen...)
	}, res
}

func last(events []protocol.RunEvent) protocol.Finished { return events[len(events)-1].Finished }

func units(events func() []protocol.RunEvent, n int64) func() bool {
	return func() bool {
		for _, e := range events() {
			if e.Progress.Units >= n {
				return true
			}
		}
		return false
	}
}

func TestProcessPrints(t *testing.T) {
	l := launch(t)
	events, end := l.run(t, t.TempDir(), `{"do":"print"}`)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	if f := last(events()); f.Kind != protocol.FinishedCompleted {
		t.Errorf("ended by %+v", f)
	}
	for _, line := range []string{"a stray word of standard error\n", "a raw word of standard error\n", `"@message":"a log line"`, `"task_id":"t"`} {
		eventually(t, line+" arrives", func() bool { return strings.Contains(l.stderr.String(), line) })
	}
	if err := l.worker.Run(t.Context(), protocol.RunRequest{ClassName: "Script"}, nil); !errors.Is(err, protocol.ErrFenced) {
		t.Errorf("a second task: %v", err)
	}
}

func TestProcessTalksToItsHost(t *testing.T) {
	l := launch(t)
	events, end := l.run(t, t.TempDir(), `{"do":"save"}`)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	if f := last(events()); f.Kind != protocol.FinishedCompleted || string(l.host.Checkpoint()) != "saved by a process" {
		t.Errorf("ended by %+v with checkpoint %q", f, l.host.Checkpoint())
	}
}

// serveForeign is a worker that speaks the protocol as proto/README.md says, without this SDK and without go-plugin.
func serveForeign() int {
	token, err := os.ReadFile(os.Getenv(protocol.EnvTokenFile))
	if err != nil {
		return 1
	}
	impl, err := sdk.NewWorker("foreign", "0.1.0", nil, nil, sdk.Class("Script", func() sdk.Worker[script] { return scriptWorker{} }))
	if err != nil {
		return 1
	}
	l, err := net.Listen("unix", filepath.Join(os.Getenv(plugin.EnvUnixSocketDir), "foreign"))
	if err != nil {
		return 1
	}
	s := grpc.NewServer()
	glue := protocol.Plugins(impl, strings.TrimSpace(string(token)))[protocol.PluginName].(plugin.GRPCPlugin)
	if err := glue.GRPCServer(nil, s); err != nil {
		return 1
	}
	h := health.NewServer()
	h.SetServingStatus("plugin", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(s, h)
	fmt.Printf("1|1|unix|%s|grpc\n", l.Addr())
	_ = s.Serve(l) // until the host kills the process
	return 0
}

// serveByAChild is between a host and a worker: the worker's parent.
func serveByAChild() int {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), envScripted+"=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.ExtraFiles = []*os.File{os.NewFile(3, "liveness")}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestForeignWorker(t *testing.T) {
	l := launchAs(t, "foreign")
	d, err := l.worker.Describe(t.Context(), protocol.DescribeRequest{})
	if err != nil || d.Name != "foreign" {
		t.Fatalf("describe: %+v, %v", d, err)
	}
	events, end := l.run(t, t.TempDir(), `{"count":1}`)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	if f := last(events()); f.Kind != protocol.FinishedCompleted {
		t.Errorf("ended by %+v", f)
	}
}

func TestProcessRefusals(t *testing.T) {
	l := launch(t)
	if err := l.worker.Run(t.Context(), protocol.RunRequest{ClassName: "Other"}, nil); !errors.Is(err, protocol.ErrRefused) || !strings.Contains(err.Error(), "it offers Script") {
		t.Errorf("unknown class: %v", err)
	}
	if err := l.worker.Run(t.Context(), protocol.RunRequest{ClassName: "Script", Candidate: true}, nil); !errors.Is(err, protocol.ErrUnsupported) {
		t.Errorf("candidate: %v", err)
	}
	if err := l.worker.Restore(t.Context(), nil, 2); !errors.Is(err, protocol.ErrUnsupported) {
		t.Errorf("restore: %v", err)
	}
	if err := l.worker.Configure(t.Context(), 1<<30, 1); err != nil {
		t.Errorf("configure: %v", err)
	}
}

func TestRunLimitsTheProcess(t *testing.T) {
	run := func(t *testing.T, l *launched, req protocol.RunRequest) (got limits) {
		t.Helper()
		req.TaskID, req.ClassName, req.Attachments, req.DataDir = "t", "Script", json.RawMessage(`{"do":"limits"}`), t.TempDir()
		if err := l.worker.Run(t.Context(), req, func(e protocol.RunEvent) {
			if e.Kind == protocol.EventResult {
				if err := json.Unmarshal(e.Value, &got); err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	started := []string{"GOMEMLIMIT=300MiB", "GOMAXPROCS=1", "TOLD_BY_RUN=at the start"}
	t.Run("all", func(t *testing.T) {
		l := launchAs(t, "1", started...)
		for _, key := range []string{"", "A=B", "A\x00"} {
			req := protocol.RunRequest{ClassName: "Script", Env: map[string]string{key: "v"}}
			if err := l.worker.Run(t.Context(), req, nil); !errors.Is(err, protocol.ErrRefused) {
				t.Errorf("variable %q: %v", key, err) // and the process stays idle
			}
		}
		got := run(t, l, protocol.RunRequest{GoMemLimitBytes: 200 << 20, GoMaxProcs: 3, LogLevel: "debug", Env: map[string]string{"TOLD_BY_RUN": "yes"}})
		if diff := cmp.Diff(limits{200 << 20, 3, true, "yes"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("none", func(t *testing.T) {
		got := run(t, launchAs(t, "1", started...), protocol.RunRequest{})
		if diff := cmp.Diff(limits{300 << 20, 1, false, "at the start"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestProcessPanic(t *testing.T) {
	l := launch(t)
	events, end := l.run(t, t.TempDir(), `{"do":"panic"}`)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	if f := last(events()); f.Kind != protocol.FinishedPanic || f.Message != "panic: as told" || !strings.Contains(f.Stack, "process_test.go") {
		t.Errorf("ended by %+v", f)
	}
}

func TestProcessSIGTERMIsAStop(t *testing.T) {
	l := launch(t)
	dir := t.TempDir()
	events, end := l.run(t, dir, `{"do":"wait"}`)
	eventually(t, "Main runs", units(events, 1))
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	if f := last(events()); f.Kind != protocol.FinishedStopped {
		t.Errorf("ended by %+v", f)
	}
	if _, err := os.Stat(filepath.Join(dir, "released")); err != nil {
		t.Error("Release did not run")
	}
}

func TestProcessIdleSIGTERM(t *testing.T) {
	l := launch(t)
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the idle process ends", l.client.Exited)
}

func TestProcessStreamBreakIsNoStop(t *testing.T) {
	l := launch(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		res <- l.worker.Run(ctx, protocol.RunRequest{TaskID: "t", ClassName: "Script", DataDir: dir, Attachments: json.RawMessage(`{"do":"wait"}`)}, func(e protocol.RunEvent) {
			if e.Kind == protocol.EventStarted {
				close(started)
			}
		})
	}()
	<-started
	cancel()
	<-res
	if err := l.worker.Update(t.Context(), json.RawMessage(`{"do":"wait","count":1}`)); err != nil {
		t.Errorf("the task did not go on: %v", err)
	}
	if err := l.worker.Stop(t.Context(), "cancelled", time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Release runs", func() bool {
		_, err := os.Stat(filepath.Join(dir, "released"))
		return err == nil
	})
}

// runWithChild runs a task that has started a process, and returns when that runs.
func (l *launched) runWithChild(t *testing.T) (child int, end <-chan error) {
	t.Helper()
	dir := t.TempDir()
	events, end := l.run(t, dir, `{"do":"child"}`)
	eventually(t, "the child runs", units(events, 2))
	b, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	if child, err = strconv.Atoi(string(b)); err != nil {
		t.Fatal(err)
	}
	return child, end
}

func TestProcessDiesWithItsHost(t *testing.T) {
	l := launch(t)
	child, end := l.runWithChild(t)
	_ = l.liveness.Close() // what the kernel does when a host dies, however it dies
	if err := <-end; err == nil {
		t.Error("the stream ended well")
	}
	eventually(t, "the worker is gone", l.client.Exited)
	eventually(t, "its child is gone", func() bool { return !alive(child) })
}

func TestAChildDiesWithAKilledWorker(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's death")
	}
	l := launch(t)
	child, end := l.runWithChild(t)
	if err := l.cmd.Process.Kill(); err != nil { // the worker alone: nobody kills its group
		t.Fatal(err)
	}
	<-end
	eventually(t, "its child is gone", func() bool { return !alive(child) })
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// alone runs the test binary as a person would.
func alone(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), envScripted+"=1")
	return c
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	yml := filepath.Join(dir, "a.yml")
	if err := os.WriteFile(yml, []byte("# a comment\ncount: 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string // whole
		stderr string // part
	}{
		{"no arguments", nil, 2, "", "scripted 0.1.0 is a Skalds worker"},
		{"help", []string{"--help"}, 0, "*", ""},
		{"unknown command", []string{"dance"}, 2, "", `unknown command "dance"`},
		{"version", []string{"version"}, 0, "scripted 0.1.0\n", ""},
		{"result", []string{"run", "--attachments", `{"count":3}`, "--data-dir", dir}, 0, "{\"count\":3}\n", "finished"},
		{"file with @", []string{"run", "--attachments", "@" + yml, "--data-dir", dir}, 0, "{\"count\":4}\n", ""},
		{"file without", []string{"run", "--class", "Script", "--attachments", yml, "--data-dir", dir, "--id", "mine"}, 0, "{\"count\":4}\n", "mine: finished"},
		{"progress", []string{"run", "--data-dir", dir}, 0, "{\"count\":0}\n", "progress: percent=0 items=1"},
		{"failure", []string{"run", "--attachments", `{"do":"fail"}`, "--data-dir", dir}, 1, "", "scripted: Main: as told"},
		{"panic", []string{"run", "--attachments", `{"do":"panic"}`, "--data-dir", dir}, 1, "", "process_test.go"},
		{"unknown field", []string{"run", "--attachments", `{"counts":3}`, "--data-dir", dir}, 2, "", "attachments.counts: is unknown"},
		{"wrong type", []string{"run", "--attachments", `{"count":"3"}`, "--data-dir", dir}, 2, "", "attachments.count: got string, want integer"},
		{"no JSON", []string{"run", "--attachments", `{`}, 2, "", "no valid JSON"},
		{"no file", []string{"run", "--attachments", "@/nowhere.yml"}, 2, "", "/nowhere.yml"},
		{"unknown class", []string{"run", "--class", "Other"}, 2, "", "it offers Script"},
		{"too much", []string{"run", "rest"}, 2, "", `unexpected argument "rest"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := alone(t, tt.args...)
			var stdout, stderr bytes.Buffer
			c.Stdout, c.Stderr = &stdout, &stderr
			var exit *exec.ExitError
			if err := c.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if c.ProcessState.ExitCode() != tt.code {
				t.Errorf("exit code %d, want %d\n%s", c.ProcessState.ExitCode(), tt.code, stderr.String())
			}
			if tt.stdout != "*" && stdout.String() != tt.stdout {
				t.Errorf("stdout %q, want %q", stdout.String(), tt.stdout)
			}
			if !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stderr %q, want %q in it", stderr.String(), tt.stderr)
			}
		})
	}
}

func TestCommandLineDescribe(t *testing.T) {
	out, err := alone(t, "describe").Output()
	if err != nil {
		t.Fatal(err)
	}
	var d protocol.Description
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if diff := cmp.Diff([]string{"scripted", "0.1.0", "Script"}, []string{d.Name, d.Version, d.Classes[0].ClassName}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCommandLineSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			c := alone(t, "run", "--attachments", `{"do":"wait"}`, "--data-dir", dir)
			stderr := &lockedBuffer{}
			c.Stderr = stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "Main runs", func() bool { return strings.Contains(stderr.String(), "items=1") })
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := c.Wait(); err != nil {
				t.Errorf("%v\n%s", err, stderr)
			}
			if _, err := os.Stat(filepath.Join(dir, "released")); err != nil {
				t.Error("Release did not run")
			}
		})
	}
}
