package plugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// setup gives a running launcher and the scripted plugin.
func setup(t testing.TB) (*Launcher, *Plugin) {
	t.Helper()
	dir := t.TempDir()
	installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion)
	c := NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins")}, nil)
	if err := c.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := c.Resolve("Script", "")
	if err != nil {
		t.Fatalf("%v; problems: %v", err, c.Problems())
	}
	l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run"), SampleEvery: 100 * time.Millisecond}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if left, err := l.foreign(); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	return l, p
}

// attempt is one launched instance with a running task.
type attempt struct {
	*Instance
	mu       sync.Mutex
	events   []protocol.RunEvent
	finished *protocol.Finished
	runErr   error
	over     chan struct{}
	lines    []Line
}

func launch(t testing.TB, l *Launcher, p *Plugin, s script, spec LaunchSpec) *attempt {
	t.Helper()
	a := &attempt{over: make(chan struct{})}
	spec.Plugin, spec.TaskID = p, t.Name()
	spec.Log = func(line Line) { a.mu.Lock(); a.lines = append(a.lines, line); a.mu.Unlock() }
	i, err := l.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	a.Instance = i
	started := make(chan struct{})
	go func() {
		defer close(a.over)
		err := i.Worker().Run(context.Background(), protocol.RunRequest{TaskID: "t", ClassName: "Script", Epoch: 1, Attempt: 1, Attachments: attachments(t, s), DataDir: os.TempDir()}, func(e protocol.RunEvent) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.events = append(a.events, e)
			switch e.Kind {
			case protocol.EventStarted:
				close(started)
			case protocol.EventFinished:
				a.finished = &e.Finished
			}
		})
		a.mu.Lock()
		a.runErr = err
		a.mu.Unlock()
	}()
	select {
	case <-started:
	case <-a.over:
	}
	return a
}

// end waits for the end and explains it.
func (a *attempt) end(t testing.TB) skalds.Exit {
	t.Helper()
	<-a.over
	a.mu.Lock()
	finished := a.finished
	err := a.runErr
	a.mu.Unlock()
	if finished != nil {
		a.Leave()
	}
	select {
	case <-a.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the instance does not end")
	}
	return a.Explain(finished, err)
}

func TestEveryWayToEnd(t *testing.T) {
	l, p := setup(t)
	for _, tc := range []struct {
		name   string
		script script
		kind   skalds.ExitKind
		want   string
		code   int
	}{
		{"finished", script{Do: "finish"}, skalds.ExitCompleted, "", 0},
		{"error", script{Do: "error", Text: "no disk"}, skalds.ExitError, "no disk", 0},
		{"panic", script{Do: "panic", Text: "oops"}, skalds.ExitPanic, "panic: oops", 0},
		{"panic in a goroutine", script{Do: "panic-goroutine", Text: "far away"}, skalds.ExitPanic, "panic: far away", 2},
		{"exit code", script{Do: "exit", Code: 9}, skalds.ExitExit, "exit code 9", 9},
		{"SIGKILL", script{Do: "kill-self", Code: int(syscall.SIGKILL)}, skalds.ExitSignal, "SIGKILL", -1},
		{"SIGABRT", script{Do: "kill-self", Code: int(syscall.SIGUSR1)}, skalds.ExitSignal, "user defined signal 1", -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			x := launch(t, l, p, tc.script, LaunchSpec{}).end(t)
			if x.Kind != tc.kind || !strings.Contains(x.Message, tc.want) || x.Code != tc.code {
				t.Errorf("got %+v, want kind %s, message with %q, code %d", x, tc.kind, tc.want, tc.code)
			}
			if tc.kind == skalds.ExitPanic && !strings.Contains(x.Stack, "goroutine") {
				t.Errorf("no stack: %+v", x)
			}
		})
	}
}

func TestPermanentErrorIsMarked(t *testing.T) {
	l, p := setup(t)
	x := launch(t, l, p, script{Do: "permanent", Text: "wrong model"}, LaunchSpec{}).end(t)
	if !x.Permanent || x.Kind != skalds.ExitError {
		t.Errorf("got %+v", x)
	}
}

func TestProgressAndResultArriveInOrder(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "work", N: 150}, LaunchSpec{})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	var last protocol.Progress
	var result string
	for _, e := range a.events {
		switch e.Kind {
		case protocol.EventProgress:
			if e.Progress.Units < last.Units {
				t.Errorf("units went back from %d to %d", last.Units, e.Progress.Units)
			}
			last = e.Progress
		case protocol.EventResult:
			result = string(e.Value)
		}
	}
	if last.Units != 150 || last.Percent != 100 || result != `{"items":150}` {
		t.Errorf("last progress %+v, result %s", last, result)
	}
}

func TestStopLadder(t *testing.T) {
	l, p := setup(t)
	for _, tc := range []struct {
		name   string
		do     string
		freeze bool
		grace  time.Duration
	}{
		{"obeys", "wait", false, 5 * time.Second},
		{"ignores everything", "ignore", false, 200 * time.Millisecond},
		{"spins", "spin", false, 5 * time.Second},
		{"is frozen", "wait", true, 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := launch(t, l, p, script{Do: tc.do}, LaunchSpec{})
			if tc.freeze {
				if err := a.Freeze(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			begin := time.Now()
			go func() { <-a.over; a.Leave() }()
			if err := a.Stop(t.Context(), string(skalds.ExitCancelled), tc.grace); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > tc.grace+5*time.Second {
				t.Errorf("took %s", took)
			}
			if x := a.end(t); x.Kind != skalds.ExitCancelled {
				t.Errorf("got %+v", x)
			}
		})
	}
}

func TestTreeIsKilledWithAChildInItsOwnSession(t *testing.T) {
	for _, how := range []string{"killed by us", "worker killed from outside"} {
		t.Run(how, func(t *testing.T) {
			l, p := setup(t)
			file := filepath.Join(t.TempDir(), "pids")
			a := launch(t, l, p, script{Do: "fork", File: file}, LaunchSpec{})
			var pids [2]int
			eventually(t, "children", 10*time.Second, func() bool {
				b, err := os.ReadFile(file)
				if err != nil {
					return false
				}
				_, err = fmt.Sscan(string(b), &pids[0], &pids[1])
				return err == nil
			})
			if how == "killed by us" {
				a.Kill(skalds.ExitStall, "no frame for 5 s")
			} else if err := syscall.Kill(a.PID(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			x := a.end(t)
			want := skalds.ExitSignal
			if how == "killed by us" {
				want = skalds.ExitStall
			}
			if x.Kind != want {
				t.Errorf("got %+v", x)
			}
			for _, pid := range pids {
				eventually(t, "child gone", 5*time.Second, func() bool {
					pr, err := procstats.Read(pid)
					return err != nil || pr.State == 'Z'
				})
			}
		})
	}
}

func TestMemoryLimitKillsTheLeakerAlone(t *testing.T) {
	l, p := setup(t)
	neighbour := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 128 << 20}})
	leaker := launch(t, l, p, script{Do: "leak", Bytes: 2 << 30}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 128 << 20}})
	x := leaker.end(t)
	if x.Kind != skalds.ExitLimit || !contains(x.Message, "memory", "128 MiB", "peak") {
		t.Errorf("got %+v", x)
	}
	if peak := leaker.Peak().MemoryBytes; peak < 128<<20 {
		t.Errorf("peak %d", peak)
	}
	select {
	case <-neighbour.Done():
		t.Error("the neighbour was killed, too")
	default:
	}
}

func TestProcessLimit(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "fork", File: filepath.Join(t.TempDir(), "pids")}, LaunchSpec{Limits: skalds.Limits{PIDs: 2}})
	if x := a.end(t); x.Kind != skalds.ExitLimit || !contains(x.Message, "processes", "limit is 2") {
		t.Errorf("got %+v", x)
	}
}

func TestFrozenUsesNoCPU(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "spin"}, LaunchSpec{})
	eventually(t, "busy", 20*time.Second, func() bool { return a.Usage().CPUCores > 0.1 })
	if err := a.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := procstats.Read(a.PID())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "usage falls to zero", 20*time.Second, func() bool { return a.Usage().CPUCores == 0 })
	after, err := procstats.Read(a.PID())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.CPU - before.CPU; used > 20*time.Millisecond {
		t.Errorf("used %s while frozen", used)
	}
	a.Thaw(t.Context())
	eventually(t, "busy again", 20*time.Second, func() bool { return a.Usage().CPUCores > 0.1 })
}

func TestLaunchFailures(t *testing.T) {
	l, p := setup(t)
	for _, tc := range []struct {
		start string
		kind  skalds.ExitKind
		want  []string
	}{
		{"rubbish", skalds.ExitHandshake, []string{"exit code 3", "hello, I am no worker"}},
		{"hang", skalds.ExitStartTimeout, []string{"no handshake in time"}},
		{"panic", skalds.ExitHandshake, []string{"exit code 2", "before the handshake"}},
		{"exit", skalds.ExitHandshake, []string{"exit code 7", "no licence found"}},
		{"version", skalds.ExitHandshake, []string{"ncompatible"}},
	} {
		t.Run(tc.start, func(t *testing.T) {
			t.Parallel()
			timeout := 20 * time.Second
			if tc.start == "hang" {
				timeout = 300 * time.Millisecond
			}
			_, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: tc.start, StartTimeout: timeout, Env: []string{"SCRIPT_START=" + tc.start}})
			var le *LaunchError
			if !errors.As(err, &le) {
				t.Fatalf("got %v", err)
			}
			if le.Kind != tc.kind || !contains(le.Error(), tc.want...) {
				t.Errorf("got %s: %v", le.Kind, le)
			}
		})
	}
}

func TestStrayPrintsAreLogLines(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "print", Text: "a stray print in Main"}, LaunchSpec{Env: []string{"SCRIPT_START=print"}})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	if tail := a.StderrTail(); !contains(tail, "a stray print before the handshake", "a stray print in Main") {
		t.Errorf("output: %q", tail)
	}
}

func TestFloodIsHeldBackAndCounted(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "flood", N: 60000}, LaunchSpec{})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	if len(a.lines) >= 60000 {
		t.Errorf("all %d lines came through", len(a.lines))
	}
	said := false
	for _, line := range a.lines {
		said = said || strings.Contains(line.Text, "lines were dropped")
	}
	if !said {
		t.Error("nobody said that lines were dropped")
	}
}

func TestCancelledLaunchLeavesNothing(t *testing.T) {
	l, p := setup(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(skalds.ErrTaskCancelled)
	_, err := l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: "x", Env: []string{"SCRIPT_START=hang"}})
	if err == nil {
		t.Fatal("launched")
	}
	eventually(t, "no instance", 5*time.Second, func() bool { return len(l.all()) == 0 })
}

func TestSweepKillsWhatADeadHostLeft(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	// Another launcher on the same folder stands for the host that comes back: it knows none of the instances.
	again, err := NewLauncher(LauncherConfig{RunDir: l.cfg.RunDir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.forker.close)
	n, err := again.Sweep(t.Context())
	if err != nil || n == 0 {
		t.Fatalf("killed %d, %v", n, err)
	}
	if x := a.end(t); x.Kind != skalds.ExitSignal {
		t.Errorf("got %+v", x)
	}
}

func TestFiftyAtOnce(t *testing.T) {
	l, p := setup(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if x := launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t); x.Kind != skalds.ExitCompleted {
				t.Errorf("got %+v", x)
			}
		})
	}
	wg.Wait()
	if entries, err := os.ReadDir(l.base); err != nil || len(entries) > 0 {
		t.Errorf("left in the run folder: %v %v", entries, err)
	}
}
