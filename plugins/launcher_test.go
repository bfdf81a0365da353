package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// setup gives a running launcher and the scripted plugin.
func setup(t testing.TB) (*Launcher, *Plugin) {
	t.Helper()
	return setupEvery(t, 100*time.Millisecond)
}

func setupEvery(t testing.TB, sample time.Duration) (*Launcher, *Plugin) {
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
	l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run"), SampleEvery: sample}, hclog.NewNullLogger())
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
	file     string
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
	limit := time.NewTimer(60 * time.Second)
	defer limit.Stop()
	select {
	case <-a.over:
	case <-limit.C:
		t.Fatal("the task does not end")
	}
	a.mu.Lock()
	finished, err := a.finished, a.runErr
	a.mu.Unlock()
	if finished != nil {
		a.Leave()
	}
	select {
	case <-a.Done():
	case <-limit.C:
		t.Fatal("the instance does not end")
	}
	return a.Explain(finished, err)
}

// said is what the worker has written so far.
func (a *attempt) said() []Line {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.lines)
}

// alive reports whether a process, given by its number, exists and is no zombie.
func alive(t testing.TB, pid string) bool {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := procstats.Read(n)
	return err == nil && p.State != 'Z'
}

// freezeFromOutside stops a process as somebody else would.
func freezeFromOutside(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stopped", 10*time.Second, func() bool {
		p, err := procstats.Read(pid)
		return err == nil && p.State == 'T'
	})
}

// childrenOfThisProcess lists the children of this process, zombies included.
func childrenOfThisProcess(t testing.TB) []int {
	t.Helper()
	list, err := procstats.List()
	if err != nil {
		t.Fatal(err)
	}
	return procstats.NewTable(list).Children(os.Getpid())
}

// children waits for the pids that the script "fork" writes: a child, a child in a session of its own, and its child.
func children(t testing.TB, file string) []string {
	t.Helper()
	var pids []string
	eventually(t, "children", 20*time.Second, func() bool {
		b, err := os.ReadFile(file)
		pids = strings.Fields(string(b))
		return err == nil && len(pids) == 3
	})
	return pids
}

func TestEveryWayToEnd(t *testing.T) {
	l, p := setup(t)
	for _, tc := range []struct {
		name   string
		script script
		kind   skalds.ExitKind
		want   string
		code   int
		signal string
	}{
		{"finished", script{Do: "finish"}, skalds.ExitCompleted, "", 0, ""},
		{"error", script{Do: "error", Text: "no disk"}, skalds.ExitError, "no disk", 0, ""},
		{"panic", script{Do: "panic", Text: "oops"}, skalds.ExitPanic, "panic: oops", 0, ""},
		{"panic in a goroutine", script{Do: "panic-goroutine", Text: "far away"}, skalds.ExitPanic, "panic: far away", 2, ""},
		{"fatal error", script{Do: "overflow"}, skalds.ExitPanic, "fatal error: stack overflow", 2, ""},
		{"abort", script{Do: "kill-self", Code: int(syscall.SIGABRT)}, skalds.ExitPanic, "SIGABRT: abort", 2, ""},
		{"exit code", script{Do: "exit", Code: 9}, skalds.ExitExit, "exit code 9", 9, ""},
		{"exit code 2 without a panic", script{Do: "exit", Code: 2}, skalds.ExitExit, "exit code 2", 2, ""},
		{"exit code 0 without a last word", script{Do: "exit"}, skalds.ExitExit, "exit code 0", 0, ""},
		{"SIGKILL", script{Do: "kill-self", Code: int(syscall.SIGKILL)}, skalds.ExitSignal, "SIGKILL", -1, "killed"},
		{"SIGHUP", script{Do: "kill-self", Code: int(syscall.SIGHUP)}, skalds.ExitSignal, "hangup", -1, "hangup"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			x := launch(t, l, p, tc.script, LaunchSpec{}).end(t)
			if x.Kind != tc.kind || !strings.Contains(x.Message, tc.want) || x.Code != tc.code || x.Signal != tc.signal {
				t.Errorf("got %+v, want kind %s, message with %q, code %d, signal %q", x, tc.kind, tc.want, tc.code, tc.signal)
			}
			if tc.kind == skalds.ExitPanic && !strings.Contains(x.Stack, "goroutine") {
				t.Errorf("no stack: %+v", x)
			}
		})
	}
}

func TestSIGTERMFromOutside(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	if err := syscall.Kill(a.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Kind != skalds.ExitSignal || !contains(x.Message, "SIGTERM", "outside") || x.Signal != "terminated" {
		t.Errorf("got %+v", x)
	}
}

// A worker that lives but answers no call: who notices kills it, and the report says why.
func TestHungWorker(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	freezeFromOutside(t, a.PID())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Worker().Describe(ctx, protocol.DescribeRequest{}); !errors.Is(ctx.Err(), context.DeadlineExceeded) || err == nil {
		t.Errorf("a stopped process answered: %v", err)
	}
	if x := a.Explain(nil, errors.New("no answer")); x.Kind != skalds.ExitRPCLost || !contains(x.Message, "lives", "no answer") {
		t.Errorf("before the kill: %+v", x)
	}
	a.Kill(skalds.ExitRPCLost, "no answer for 2 s")
	a.Kill(skalds.ExitCancelled, "too late: the first reason holds")
	if x := a.end(t); x.Kind != skalds.ExitRPCLost || x.Message != "no answer for 2 s" {
		t.Errorf("got %+v", x)
	}
	if _, err := a.Worker().Describe(t.Context(), protocol.DescribeRequest{}); err == nil {
		t.Error("a dead process answered")
	}
}

// A worker that stands still says where, if it can, and dies in any case.
func TestAStalledWorkerSaysWhereItStands(t *testing.T) {
	l, p := setup(t)
	for _, frozen := range []bool{false, true} {
		t.Run(fmt.Sprintf("frozen=%v", frozen), func(t *testing.T) {
			t.Parallel()
			a := launch(t, l, p, script{Do: "ignore"}, LaunchSpec{})
			if frozen {
				freezeFromOutside(t, a.PID())
			}
			a.KillWithStack(skalds.ExitStall, "no frames for 5s")
			x := a.end(t)
			if x.Kind != skalds.ExitStall || x.Message != "no frames for 5s" {
				t.Errorf("got %+v", x)
			}
			if frozen && x.Stack != "" || !frozen && (!strings.HasPrefix(x.Stack, "goroutine ") || !contains(x.Stack[:min(len(x.Stack), 2000)], "scripted.Main", "main_test.go")) {
				t.Errorf("stack %.3000s", x.Stack)
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
		before func(t *testing.T, a *attempt)
		grace  time.Duration
		obeys  bool // well within the grace
	}{
		{"obeys", "wait", nil, 20 * time.Second, true},
		{"ignores everything", "ignore", nil, 200 * time.Millisecond, false},
		{"spins", "spin", nil, 20 * time.Second, true},
		{"is frozen", "wait", func(t *testing.T, a *attempt) {
			if err := a.Freeze(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, 20 * time.Second, true},
		{"was stopped from outside", "wait", func(t *testing.T, a *attempt) {
			freezeFromOutside(t, a.PID())
		}, 200 * time.Millisecond, false},
		{"has children that hold its pipes", "fork", func(t *testing.T, a *attempt) {
			t.Cleanup(func() { _ = os.Remove(a.file) })
			children(t, a.file)
		}, 20 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pids")
			a := launch(t, l, p, script{Do: tc.do, File: file}, LaunchSpec{})
			a.file = file
			if tc.before != nil {
				tc.before(t, a)
			}
			begin := time.Now()
			go func() { <-a.over; a.Leave() }()
			if err := a.Stop(t.Context(), string(skalds.ExitCancelled), tc.grace); err != nil {
				t.Fatal(err)
			}
			bound := tc.grace + time.Second
			if tc.obeys {
				bound = time.Second
			}
			if took := time.Since(begin); took > 5*bound {
				t.Errorf("took %s, promised are %s", took, bound)
			}
			if x := a.end(t); x.Kind != skalds.ExitCancelled {
				t.Errorf("got %+v", x)
			}
		})
	}
}

func TestStopWithoutPatience(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "ignore"}, LaunchSpec{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Stop(ctx, string(skalds.ExitDrain), time.Hour); err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Kind != skalds.ExitDrain {
		t.Errorf("got %+v", x)
	}
}

func TestTreeIsGoneWhenTheInstanceIsDone(t *testing.T) {
	for _, how := range []string{"killed by us", "worker killed from outside", "last word said"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			l, p := setup(t)
			file := filepath.Join(t.TempDir(), "pids")
			a := launch(t, l, p, script{Do: "fork", File: file}, LaunchSpec{})
			pids := children(t, file)
			want := skalds.ExitSignal
			switch how {
			case "killed by us":
				want = skalds.ExitStall
				a.Kill(skalds.ExitStall, "no frame for 5 s")
			case "last word said":
				want = skalds.ExitLimit
				a.setReason(skalds.ExitLimit, "just so")
				a.Leave()
			default:
				if err := syscall.Kill(a.PID(), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			<-a.Done()
			for i, pid := range pids {
				if alive(t, pid) {
					t.Errorf("child %d lives after Done", i)
				}
			}
			if x := a.end(t); x.Kind != want {
				t.Errorf("got %+v", x)
			}
		})
	}
}

func TestForkBombIsBounded(t *testing.T) {
	for _, how := range []string{"", "setsid"} {
		t.Run("children "+how, func(t *testing.T) {
			l, p := setup(t)
			neighbour := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Limits: skalds.Limits{PIDs: 20}})
			a := launch(t, l, p, script{Do: "bomb", Text: how}, LaunchSpec{Limits: skalds.Limits{PIDs: 20}})
			if x := a.end(t); x.Kind != skalds.ExitLimit || !contains(x.Message, "processes", "limit is 20") {
				t.Errorf("got %+v", x)
			}
			list, err := procstats.List()
			if err != nil {
				t.Fatal(err)
			}
			for _, pr := range list {
				if a.launched(pr) {
					t.Errorf("%d lives", pr.PID)
				}
			}
			select {
			case <-neighbour.Done():
				t.Error("the neighbour was killed, too")
			default:
			}
		})
	}
}

// The worker learns of its host's death by the liveness pipe, whatever becomes of the parent-death signal.
func TestWorkerEndsWithTheLivenessPipe(t *testing.T) {
	l, p := setup(t)
	file := filepath.Join(t.TempDir(), "pids")
	a := launch(t, l, p, script{Do: "fork", File: file}, LaunchSpec{})
	children(t, file)
	if err := a.proc.live.Close(); err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Kind != skalds.ExitSignal {
		t.Errorf("got %+v", x)
	}
}

func TestMemoryLimitKillsTheLeakerAlone(t *testing.T) {
	l, p := setup(t)
	limits := skalds.Limits{MemoryBytes: 128 << 20}
	var neighbours []*attempt
	for range 5 {
		neighbours = append(neighbours, launch(t, l, p, script{Do: "wait"}, LaunchSpec{Limits: limits}))
	}
	leaker := launch(t, l, p, script{Do: "leak", Bytes: 4 << 30}, LaunchSpec{Limits: limits})
	x := leaker.end(t)
	if x.Kind != skalds.ExitLimit || !contains(x.Message, "memory", "limit is 128 MiB", "peak") {
		t.Errorf("got %+v", x)
	}
	if peak := leaker.Peak().MemoryBytes; peak < 128<<20 || peak > 128<<20+5*150<<20 { // 0.15 s at 1 GB/s
		t.Errorf("peak %s", mib(peak))
	}
	for _, n := range neighbours {
		select {
		case <-n.Done():
			t.Error("a neighbour was killed, too")
		default:
		}
	}
}

// Between two rounds it is the watchdog alone that finds new processes.
func TestMemoryLimitCountsAChildThatNoRoundHasSeen(t *testing.T) {
	l, p := setupEvery(t, time.Hour)
	a := launch(t, l, p, script{Do: "leak-child"}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 128 << 20}})
	if x := a.end(t); x.Kind != skalds.ExitLimit || !contains(x.Message, "memory", "limit is 128 MiB") {
		t.Errorf("got %+v", x)
	}
	if peak := a.Peak().MemoryBytes; peak < 128<<20 || peak > 128<<20+5*150<<20 { // 0.15 s at 1 GB/s
		t.Errorf("peak %s", mib(peak))
	}
}

func TestPressureComesBeforeTheKill(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "hold", Bytes: 460 << 20}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 500 << 20}})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
	if peak := a.Peak().MemoryBytes; peak < int64(softShare*(500<<20)) {
		t.Errorf("peak %s", mib(peak))
	}
}

func TestMemoryLimitBeforeTheHandshake(t *testing.T) {
	l, p := setup(t)
	_, err := l.Launch(t.Context(), LaunchSpec{
		Plugin: p, TaskID: "x", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=leak"}, Limits: skalds.Limits{MemoryBytes: 64 << 20},
	})
	var le *LaunchError
	if !errors.As(err, &le) || le.Kind != skalds.ExitLimit || !contains(le.Message, "memory", "64 MiB") || le.Exit().Kind != skalds.ExitLimit {
		t.Errorf("got %v", err)
	}
}

func TestLimitsOfTheProcessItself(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 200 << 20, CPUCores: 1.5}, Nice: 5})
	for key, want := range map[string]string{"GOMEMLIMIT": strconv.Itoa(160 << 20), "GOMAXPROCS": "2"} {
		if got, _ := procstats.Environ(a.PID(), key); got != want {
			t.Errorf("%s is %q, want %s", key, got, want)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", a.PID(), name))
		if err != nil {
			t.Skip("no /proc here: ", err)
		}
		return string(b)
	}
	if got := read("oom_score_adj"); strings.TrimSpace(got) != "500" {
		t.Errorf("oom_score_adj %s", got)
	}
	limits := map[string]string{}
	for _, line := range strings.Split(read("limits"), "\n") {
		if len(line) > 46 {
			limits[strings.TrimSpace(line[:26])] = strings.TrimSpace(line[26:46])
		}
	}
	if limits["Max core file size"] != "0" || limits["Max data size"] != strconv.Itoa(4*200<<20+1<<30) || limits["Max open files"] == "unlimited" {
		t.Errorf("got %v", limits)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", a.PID()))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads: %v %v", threads, err)
	}
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	nice := func(stat string) (n int) { _, _ = fmt.Sscan(strings.Fields(stat)[18], &n); return n }
	for _, thread := range threads {
		if got, want := nice(read("task/"+thread.Name()+"/stat")), nice(string(own))+5; got != want {
			t.Errorf("thread %s has a niceness of %d, want %d", thread.Name(), got, want)
		}
	}
}

// What a short task used is its own, whatever its host uses.
func TestPeakOfAShortTask(t *testing.T) {
	l, p := setupEvery(t, time.Hour) // no round falls into its life
	ballast := make([]byte, 256<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	small := launch(t, l, p, script{Do: "finish"}, LaunchSpec{})
	large := launch(t, l, p, script{Do: "grow", Bytes: 600 << 20}, LaunchSpec{})
	small.end(t)
	large.end(t)
	if peak := small.Peak().MemoryBytes; peak < 1<<20 || peak > 128<<20 {
		t.Errorf("a small task used %s", mib(peak))
	}
	if peak := large.Peak().MemoryBytes; peak < 600<<20 {
		t.Errorf("a large task used %s", mib(peak))
	}
	runtime.KeepAlive(ballast)
}

func TestProcessLimit(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "fork", File: filepath.Join(t.TempDir(), "pids")}, LaunchSpec{Limits: skalds.Limits{PIDs: 2}})
	if x := a.end(t); x.Kind != skalds.ExitLimit || !contains(x.Message, "processes", "limit is 2") {
		t.Errorf("got %+v", x)
	}
}

// A tree that forks all the time is frozen as a whole, and nothing of it moves until it is thawed.
func TestFreezeOfATreeThatForks(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "spawn"}, LaunchSpec{})
	for range 5 {
		if err := a.Freeze(t.Context()); err != nil {
			t.Fatal(err)
		}
		total := func() (cpu time.Duration, count int) {
			for _, m := range a.members() {
				if m.State != 'T' && m.State != 'D' { // D: waits for a child that is stopped before its exec
					t.Errorf("process %d is in state %c", m.PID, m.State)
				}
				cpu, count = cpu+m.CPU, count+1
			}
			return cpu, count
		}
		cpu, count := total()
		if err := exec.Command("sleep", "0.1").Run(); err != nil { // while others run
			t.Fatal(err)
		}
		if later, n := total(); later != cpu || n != count || count == 0 {
			t.Errorf("%d processes used %s while frozen; then there were %d", count, later-cpu, n)
		}
		a.mu.Lock()
		events := len(a.events)
		a.mu.Unlock()
		a.Thaw(t.Context())
		eventually(t, "it goes on", 20*time.Second, func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.events) > events })
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
		start     string
		kind      skalds.ExitKind
		permanent bool
		want      []string
	}{
		{"rubbish", skalds.ExitHandshake, false, []string{"exit code 3", "hello, I am no worker"}},
		{"hang", skalds.ExitStartTimeout, false, []string{"not ready in time", "no handshake"}},
		{"panic", skalds.ExitHandshake, false, []string{"exit code 2", "before the handshake"}},
		{"exit", skalds.ExitHandshake, false, []string{"exit code 7", "no licence found"}},
		{"kill-self", skalds.ExitSignal, false, []string{"signal 9"}},
		{"version", skalds.ExitHandshake, true, []string{"speaks version 99 of the worker protocol", "build it with the SDK"}},
		{"wrong token", skalds.ExitHandshake, true, []string{"shook hands and then refused", "token"}},
		{"dead socket", skalds.ExitHandshake, true, []string{"nobody.sock"}},
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
			if le.Kind != tc.kind || le.Permanent != tc.permanent || !contains(le.Error(), tc.want...) {
				t.Errorf("got %s, permanent %v: %v", le.Kind, le.Permanent, le)
			}
			if x := le.Exit(); x.Kind != tc.kind || x.Message == "" {
				t.Errorf("exit %+v", x)
			}
		})
	}
	t.Run("nothing is left", func(t *testing.T) {
		eventually(t, "run folder is empty", 10*time.Second, func() bool {
			entries, err := os.ReadDir(l.base)
			return err == nil && len(entries) == 0
		})
	})
}

// Launches that hang do not keep others from starting, be they of another worker or of the same.
func TestHangingLaunchesDelayNobody(t *testing.T) {
	l, p := setup(t)
	l.slots = newSlots(2)
	other := &Plugin{Info: skalds.WorkerInfo{Name: "other", Version: "1.0.0"}, Path: installWorker(t, t.TempDir(), "other", "1.0.0")}
	ctx, cancel := context.WithCancelCause(t.Context())
	var hanging sync.WaitGroup
	for range 4 {
		hanging.Go(func() {
			_, err := l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: "hangs", StartTimeout: time.Hour, Env: []string{"SCRIPT_START=hang"}})
			if !errors.Is(err, skalds.ErrTaskCancelled) {
				t.Errorf("got %v", err)
			}
		})
	}
	eventually(t, "one hangs", 20*time.Second, func() bool { return len(l.all()) > 0 })
	good := launch(t, l, other, script{Do: "finish"}, LaunchSpec{StartTimeout: time.Minute})
	if x := good.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
	if x := launch(t, l, p, script{Do: "finish"}, LaunchSpec{StartTimeout: time.Minute}).end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("of the same worker: %+v", x)
	}
	cancel(skalds.ErrTaskCancelled)
	hanging.Wait()
}

func TestLaunchOfAFileThatIsNotTheVerifiedOne(t *testing.T) {
	l, p := setup(t)
	dir := filepath.Dir(p.Path)
	put(t, filepath.Join(dir, "says"), "scripted@9.9.9", 0o644)
	_, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x"})
	if err == nil || !contains(err.Error(), "is scripted@9.9.9", "exchanged") {
		t.Errorf("another version: %v", err)
	}
	if err := os.Remove(p.Path); err != nil {
		t.Fatal(err)
	}
	var le *LaunchError
	var he *HostError
	if _, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x"}); !errors.As(err, &he) || !contains(err.Error(), "gone") {
		t.Errorf("removed: %v", err)
	}
	put(t, p.Path, "#!/bin/sh\n", 0o755)
	if _, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x"}); !errors.As(err, &he) || !errors.Is(err, errExchanged) {
		t.Errorf("exchanged: %v", err)
	}
	blind := &Plugin{Info: p.Info, Path: filepath.Join(dir, "nothing-here")}
	if _, err := l.Launch(t.Context(), LaunchSpec{Plugin: blind, TaskID: "x"}); !errors.As(err, &le) || !le.Permanent || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// What the machine lacks is told apart from what is wrong with a worker.
func TestAMachineThatCannotStartAProcess(t *testing.T) {
	l, p := setup(t)
	refused := func(name string, spec LaunchSpec, want ...string) {
		t.Helper()
		spec.Plugin, spec.TaskID = p, "x"
		_, err := l.Launch(t.Context(), spec)
		var he *HostError
		if !errors.As(err, &he) || he.Plugin != p.Info.Ref() || !contains(err.Error(), want...) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("no fork", LaunchSpec{Env: []string{"LARGE=" + strings.Repeat("x", 1<<20)}}, "this node cannot start", "argument list too long")
	if err := os.Remove(l.base); err != nil {
		t.Fatal(err)
	}
	put(t, l.base, "", 0o600)
	refused("no folder", LaunchSpec{}, "private folder")
	if err := os.Remove(l.base); err != nil {
		t.Fatal(err)
	}
	a := launch(t, l, p, script{Do: "finish"}, LaunchSpec{}) // the folder has gone: it is made anew
	if info, err := os.Stat(l.base); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("run folder: %v %v", info, err)
	}
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
}

func TestStrayPrintsAreLogLines(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "print", Text: "a stray print in Main"}, LaunchSpec{Env: []string{"SCRIPT_START=print"}})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	if tail := a.StderrTail(); !contains(tail, "a stray print before the handshake\n", "and one without an end\n", "a stray print in Main\n") || strings.Contains(tail, "|unix|") {
		t.Errorf("output: %q", tail)
	}
}

// What other goroutines print while the process is made ready is not lost, whoever has its output just then.
func TestPrintsAroundTheHandshake(t *testing.T) {
	l, p := setup(t)
	i, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "t", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=ticking"}})
	if err != nil {
		t.Fatal(err)
	}
	missing := func() (out []string) { // no Run: a launched process waits for its task
		said := "\n" + i.StderrTail()
		for n := range 300 {
			for _, line := range []string{fmt.Sprintf("tick %d", n), fmt.Sprintf("tock %d", n)} {
				if !strings.Contains(said, "\n"+line+"\n") {
					out = append(out, line)
				}
			}
		}
		return out
	}
	for deadline := time.Now().Add(20 * time.Second); len(missing()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("lost: %q", missing())
		}
	}
	i.Kill(skalds.ExitCancelled, "enough")
	<-i.Done()
}

func TestHandshakeBehindAFlood(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "finish"}, LaunchSpec{Env: []string{"SCRIPT_START=flood"}, StartTimeout: time.Minute})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
}

func TestLongLinesAndBinaryRubbish(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "raw", Text: "the last line has no end"}, LaunchSpec{})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	var long, last int
	var binary bool
	for _, line := range a.said() {
		long += strings.Count(line.Raw, "x")
		last += strings.Count(line.Raw, "the last line has no end")
		binary = binary || contains(line.Raw, "\uFFFD", "binary")
		if len(line.Raw) > maxLine+4096 {
			t.Errorf("a line of %d bytes", len(line.Raw))
		}
	}
	if long < 300_000 || last != 1 || !binary {
		t.Errorf("%d of 300000 bytes, last line %d times, binary %v", long, last, binary)
	}
}

func TestFloodIsHeldBackAndCounted(t *testing.T) {
	l, p := setup(t)
	const wrote = 60000
	a := launch(t, l, p, script{Do: "flood", N: wrote}, LaunchSpec{})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	var through, dropped int
	for _, line := range a.said() {
		var n int
		if _, err := fmt.Sscanf(line.Text, "%d lines were dropped", &n); err == nil {
			dropped += n
		} else {
			through++
		}
	}
	if dropped == 0 || through+dropped < wrote {
		t.Errorf("of %d lines, %d came through and %d were counted as dropped", wrote, through, dropped)
	}
}

func TestCancelledLaunchLeavesNothing(t *testing.T) {
	l, p := setup(t)
	for name, when := range map[string]func(cancel func()){
		"before":           func(cancel func()) { cancel() },
		"at the same time": func(cancel func()) { go cancel() },
		"once it is forked": func(cancel func()) {
			go func() {
				for len(l.all()) == 0 {
					runtime.Gosched()
				}
				cancel()
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			begin := time.Now()
			when(func() { cancel(skalds.ErrTaskCancelled) })
			_, err := l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: "x", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=hang"}})
			if !errors.Is(err, skalds.ErrTaskCancelled) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if left := l.all(); len(left) > 0 {
				t.Errorf("%d instances are left", len(left))
			}
			if entries, err := os.ReadDir(l.base); err != nil || len(entries) > 0 {
				t.Errorf("left in the run folder: %v %v", entries, err)
			}
		})
	}
}

func TestAClosedLauncherLaunchesNothing(t *testing.T) {
	dir := t.TempDir()
	_, p := setup(t)
	own, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- own.Run(ctx) }()
	a := launch(t, own, p, script{Do: "wait"}, LaunchSpec{})
	slow := make(chan error, 1)
	go func() {
		_, err := own.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=hang"}})
		slow <- err
	}()
	eventually(t, "the second one is forked", 20*time.Second, func() bool { return len(own.all()) == 2 })
	cancel()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Kind != skalds.ExitHostStop {
		t.Errorf("got %+v", x)
	}
	var le *LaunchError
	if err := <-slow; !errors.As(err, &le) || le.Kind != skalds.ExitHostStop {
		t.Errorf("the launch under way: %v", err)
	}
	if _, err := own.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x"}); err == nil {
		t.Error("launched after the end")
	}
	if _, err := os.Stat(own.base); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the run folder is left: %v", err)
	}
}

// services knows no secret and nothing else: a call that gets past the token panics.
type services struct{ protocol.HostServices }

func TestWrongTokensAreRefused(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Services: services{}})
	conn, err := grpc.NewClient("unix:"+a.client.ReattachConfig().Addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, token := range []string{"", "wrong"} {
		if _, err := protocol.NewClient(conn, token).Describe(t.Context(), protocol.DescribeRequest{}); !errors.Is(err, protocol.ErrTokenMismatch) {
			t.Errorf("worker, token %q: %v", token, err)
		}
		hs, err := protocol.DialHostServices(filepath.Join(a.dir, "h.sock"), token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hs.Secret(t.Context(), "x"); !errors.Is(err, protocol.ErrTokenMismatch) {
			t.Errorf("host services, token %q: %v", token, err)
		}
		_ = hs.Close()
	}
	if _, err := protocol.NewClient(conn, a.token).Describe(t.Context(), protocol.DescribeRequest{}); err != nil {
		t.Errorf("with the right token: %v", err)
	}
	for _, path := range []string{l.base, a.dir} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
	if info, err := os.Stat(filepath.Join(a.dir, "token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token: %v %v", info, err)
	}
}

func TestWorkersDoNotSeeTheHostsSettings(t *testing.T) {
	t.Setenv("MONGO_PASSWORD", "secret")
	t.Setenv("SKALDS_TOKEN", "secret")
	t.Setenv("PATH_OF_MINE", "seen")
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Env: []string{"EXTRA=1"}})
	for key, want := range map[string]string{"MONGO_PASSWORD": "", "SKALDS_TOKEN": "", "PATH_OF_MINE": "seen", "EXTRA": "1"} {
		if got, _ := procstats.Environ(a.PID(), key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// hostToBeKilled is a host that launches one worker with children and waits for its death.
func hostToBeKilled(dir string) int {
	ctx := context.Background()
	_ = os.Unsetenv("SCRIPT_HOST") // its workers are none
	l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		return 1
	}
	c := NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins"), LaunchID: l.DescribeID()}, nil)
	if err = c.Scan(ctx); err == nil {
		go func() { _ = l.Run(ctx) }()
		var p *Plugin
		if p, err = c.Resolve("Script", ""); err == nil {
			var i *Instance
			if i, err = l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: "t"}); err == nil {
				fmt.Println(i.PID())
				b, _ := json.Marshal(script{Do: "fork", File: filepath.Join(dir, "pids")})
				err = i.Worker().Run(ctx, protocol.RunRequest{TaskID: "t", ClassName: "Script", Epoch: 1, Attempt: 1, Attachments: b, DataDir: dir}, func(protocol.RunEvent) {})
			}
		}
	}
	fmt.Fprintln(os.Stderr, "host:", err)
	return 1
}

func TestNothingOutlivesAKilledHost(t *testing.T) {
	for _, how := range []string{"running", "frozen"} {
		t.Run(how, func(t *testing.T) { killAHost(t, how == "frozen") })
	}
}

func killAHost(t *testing.T, frozen bool) {
	t.Helper()
	dir := t.TempDir()
	installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SCRIPT_HOST="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as of a service: this test's process may adopt orphans
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var worker string
	if _, err := fmt.Fscan(out, &worker); err != nil {
		t.Fatal(err)
	}
	pids := children(t, filepath.Join(dir, "pids"))
	if frozen {
		for _, pid := range []string{worker, pids[0]} {
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			freezeFromOutside(t, n)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	eventually(t, "the worker is gone", 10*time.Second, func() bool { return !alive(t, worker) })
	eventually(t, "the child in its group is gone", 2*time.Second, func() bool { return !alive(t, pids[0]) })
	if !alive(t, pids[1]) || !alive(t, pids[2]) {
		t.Log("even the session of its own is gone") // nothing promises it before the sweep
	}
	l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.forker.close(); _ = os.Remove(l.base) })
	if n, err := l.Sweep(t.Context()); err != nil || n == 0 {
		t.Errorf("swept %d, %v", n, err)
	}
	for i, pid := range pids {
		if alive(t, pid) {
			t.Errorf("child %d lives after the sweep", i)
		}
	}
	if entries, err := os.ReadDir(l.base); err != nil || len(entries) > 0 {
		t.Errorf("left in the run folder: %v %v", entries, err)
	}
	if n, err := l.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("second sweep: %d, %v", n, err)
	}
}

func TestAHangingDescribeIsSwept(t *testing.T) {
	dir := t.TempDir()
	installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SCRIPT_HOST="+dir, "SCRIPT_START=hang")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.forker.close(); _ = os.Remove(l.base) })
	asked := func() []procstats.ID {
		left, err := l.foreign()
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	eventually(t, "it is asked", 10*time.Second, func() bool { return len(asked()) == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	t.Setenv("SCRIPT_START", "hang")
	ctx, cancel := context.WithCancel(t.Context())
	c := NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins"), LaunchID: l.DescribeID(), DescribeTimeout: time.Minute}, nil)
	over := make(chan error, 1)
	go func() { over <- c.Scan(ctx) }()
	eventually(t, "another one is asked by the new host", 10*time.Second, func() bool { return len(childrenOfThisProcess(t)) > 0 })
	if n, err := l.Sweep(t.Context()); err != nil || n != 1 {
		t.Errorf("swept %d, %v", n, err)
	}
	l.reapOrphans(false)
	select {
	case err := <-over:
		t.Errorf("its own was swept, too: %v", err)
	case <-time.After(100 * time.Millisecond): // a killed one would be seen to end by then
		cancel()
		<-over
	}
	cancel()
}

func TestSweepSparesTheLiving(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	other, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(t.TempDir(), "run")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.forker.close(); _ = os.Remove(other.base) })
	for _, sweeper := range []*Launcher{l, other} { // its own, and that of another host's folder
		if n, err := sweeper.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("swept %d, %v", n, err)
		}
	}
	if !alive(t, strconv.Itoa(a.PID())) {
		t.Error("killed")
	}
	if _, err := os.Stat(filepath.Join(a.dir, "token")); err != nil {
		t.Errorf("its folder was swept: %v", err)
	}
}

func TestARunFolderOfSomebodyElseIsRefused(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if err := checkOwner(filepath.Join(dir, "link")); err == nil || !strings.Contains(err.Error(), "no folder") {
		t.Errorf("got %v", err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(real, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if err := checkOwner(real); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
			t.Errorf("got %v", err)
		}
	}
}

// descriptors counts the open files of this process.
func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	return len(entries)
}

func TestTwoHundredAtOnceLeaveNothing(t *testing.T) {
	l, p := setup(t)
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t) // what is made once is made now
	before := childrenOfThisProcess(t)
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if x := launch(t, l, p, script{Do: "finish"}, LaunchSpec{Services: services{}}).end(t); x.Kind != skalds.ExitCompleted {
				t.Errorf("got %+v", x)
			}
		})
	}
	wg.Wait()
	if entries, err := os.ReadDir(l.base); err != nil || len(entries) > 0 {
		t.Errorf("left in the run folder: %v %v", entries, err)
	}
	eventually(t, "goroutines are gone", 20*time.Second, func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "descriptors are closed", 20*time.Second, func() bool { return descriptors(t) <= fds })
	for _, pid := range childrenOfThisProcess(t) {
		if !slices.Contains(before, pid) {
			t.Errorf("child %d is left", pid)
		}
	}
}
