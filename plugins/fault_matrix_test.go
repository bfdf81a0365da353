package plugins

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// ending is one way in which a worker ends, and what its report must say.
type ending struct {
	name   string
	start  string // SCRIPT_START: it ends before it is ready
	script script
	limits skalds.Limits
	late   time.Duration                                // start time-out; a minute unless set
	act    func(t testing.TB, a *attempt, r *rand.Rand) // what is done to it once Main was entered
	want   []report                                     // any of them, where two ends race
}

// report is what a skalds.Exit must be.
type report struct {
	kind      skalds.ExitKind
	code      int
	signal    string
	message   []string // parts of it
	stack     string   // a part of it; empty: there is none
	permanent bool
}

func (w report) fits(x skalds.Exit) bool {
	return x.Kind == w.kind && x.Code == w.code && x.Signal == w.signal && x.Permanent == w.permanent && contains(x.Message, w.message...) &&
		(w.stack == "") == (x.Stack == "") && strings.Contains(x.Stack, w.stack)
}

// nightly is n in a long run, else usual. With the race detector, which is for what runs beside what and not for numbers, it is
// an eighth of that, and so in a short one: all of it runs without the detector, too.
func nightly(usual, n int) int {
	switch {
	case os.Getenv("SKALDS_NIGHTLY") != "":
		return n
	case raceDetector || testing.Short():
		return max(1, usual/8)
	}
	return usual
}

// seeded is a source of random numbers whose seed is shown, and set by SKALDS_TEST_SEED.
func seeded(t testing.TB) (seed uint64) {
	t.Helper()
	seed = rand.Uint64()
	if text := os.Getenv("SKALDS_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SKALDS_TEST_SEED=%d", seed)
	return seed
}

// atAnyMoment lets some time pass: that it is a random moment is what is tested.
func atAnyMoment(r *rand.Rand, most time.Duration) {
	time.Sleep(time.Duration(r.Int64N(int64(most))))
}

const killed = "killed"

// dies lists the ways to end by itself.
func dies() []ending {
	main := func(name string, s script, w report) ending { return ending{name: name, script: s, want: []report{w}} }
	list := []ending{
		main("completed", script{Do: "finish"}, report{kind: skalds.ExitCompleted}),
		main("work", script{Do: "work", N: 5}, report{kind: skalds.ExitCompleted}),
		main("error", script{Do: "error", Text: "no disk"}, report{kind: skalds.ExitError, message: []string{"no disk"}}),
		main("permanent", script{Do: "permanent", Text: "no model"}, report{kind: skalds.ExitError, message: []string{"no model"}, permanent: true}),
		main("panic", script{Do: "panic", Text: "oops"}, report{kind: skalds.ExitPanic, message: []string{"panic: oops"}, stack: "goroutine"}),
		main("panic in a goroutine", script{Do: "panic-goroutine", Text: "far away"}, report{kind: skalds.ExitPanic, code: 2, message: []string{"panic: far away"}, stack: "goroutine"}),
		main("null pointer in a goroutine", script{Do: "nil-goroutine"}, report{kind: skalds.ExitPanic, code: 2, message: []string{"panic: runtime error", "nil pointer"}, stack: "signal SIGSEGV"}),
		main("unmapped memory", script{Do: "fault"}, report{kind: skalds.ExitPanic, code: 2, message: []string{"fatal error: fault"}, stack: "goroutine"}),
		main("stack overflow", script{Do: "overflow"}, report{kind: skalds.ExitPanic, code: 2, message: []string{"fatal error: stack overflow"}, stack: "goroutine"}),
		main("refused memory", script{Do: "reserve", Bytes: 1 << 36}, report{kind: skalds.ExitLimit, code: 2, message: []string{"memory", "refused"}, stack: "goroutine"}),
		main("leak", script{Do: "leak", Bytes: 4 << 30}, report{kind: skalds.ExitLimit, code: -1, signal: killed, message: []string{"memory", "limit is 128 MiB", "peak"}}),
		main("child that leaks", script{Do: "leak-child"}, report{kind: skalds.ExitLimit, code: -1, signal: killed, message: []string{"memory", "limit is 128 MiB"}}),
		main("too many processes", script{Do: "bomb"}, report{kind: skalds.ExitLimit, code: -1, signal: killed, message: []string{"processes", fmt.Sprintf("limit is %d", enoughThreads)}}),
	}
	for n := range list {
		switch list[n].name {
		case "refused memory": // the race detector is refused it before Go is, and has a code of its own
			list[n].want = append(list[n].want, report{kind: skalds.ExitExit, code: 66, message: []string{"ThreadSanitizer failed to allocate"}})
		}
		switch list[n].name {
		case "refused memory", "leak", "child that leaks":
			list[n].limits.MemoryBytes = 128 << 20
		case "too many processes":
			list[n].limits.PIDs = enoughThreads
		}
	}
	for _, hook := range []string{"Before", "After", "Release"} {
		list = append(
			list,
			main("panic in "+hook, script{Do: "panic", Text: "oops", Hook: hook}, report{kind: skalds.ExitPanic, message: []string{hook, "panic: oops"}, stack: "goroutine"}),
			main("error in "+hook, script{Do: "error", Text: "no disk", Hook: hook}, report{kind: skalds.ExitError, message: []string{hook + ": no disk"}}),
			main("exit in "+hook, script{Do: "exit", Code: 6, Hook: hook}, report{kind: skalds.ExitExit, code: 6, message: []string{"exit code 6"}}),
		)
	}
	list = append(list, main("panic in OnError", script{Do: "panic", Text: "oops", Hook: "OnError"}, report{kind: skalds.ExitError, message: []string{"Main failed"}}))
	for _, code := range []int{0, 1, 2, 9, 137} {
		list = append(
			list,
			main(fmt.Sprintf("exit code %d", code), script{Do: "exit", Code: code}, report{kind: skalds.ExitExit, code: code, message: []string{fmt.Sprintf("exit code %d", code), "without a last word"}}),
			main(fmt.Sprintf("exit code %d of another program", code), script{Do: "become", Text: fmt.Sprintf("echo out of paper >&2; exit %d", code)}, report{kind: skalds.ExitExit, code: code, message: []string{fmt.Sprintf("exit code %d", code), "out of paper"}}),
		)
	}
	for sig, name := range map[syscall.Signal]string{
		syscall.SIGSEGV: "segmentation", syscall.SIGABRT: "abort", syscall.SIGBUS: "bus error", syscall.SIGFPE: "floating-point exception", syscall.SIGILL: "illegal instruction",
	} {
		list = append(
			list,
			main(fmt.Sprintf("signal %d in Go", sig), script{Do: "kill-self", Code: int(sig)}, report{kind: skalds.ExitPanic, code: 2, message: []string{"SIG", name}, stack: "goroutine"}),
			main(fmt.Sprintf("signal %d in C", sig), script{Do: "become", Text: fmt.Sprintf("kill -%d $$", sig)}, report{kind: skalds.ExitSignal, code: -1, signal: sig.String(), message: []string{"crashed by"}}),
		)
	}
	return append(list, main("SIGKILL from inside", script{Do: "kill-self", Code: int(syscall.SIGKILL)}, report{kind: skalds.ExitSignal, code: -1, signal: killed, message: []string{"SIGKILL"}}))
}

// heldBy is what an ending is reported as where the kernel holds the limit: it kills for memory by itself, maybe a child whose
// end the worker then complains of, and refuses processes, which the worker may do, too.
func heldBy(l *Launcher, e ending) (list []report) {
	for _, w := range e.want {
		memory, pids := e.limits.MemoryBytes > 0 && w.signal == killed, e.limits.PIDs > 0
		switch {
		case w.kind == skalds.ExitLimit && memory && l.groups.holdsMemory():
			w.kind = skalds.ExitOOM
			list = append(list, w)
			w.code, w.signal = 0, ""
			list = append(list, w)
		case w.kind == skalds.ExitLimit && pids && l.groups.holdsPIDs():
			w.code, w.signal = 0, ""
			list = append(list, w)
			w.code, w.stack = 2, "goroutine" // the runtime needed a thread
			list = append(list, w)
		default:
			list = append(list, w)
		}
	}
	return list
}

// neverStarts lists the ways to end before the handshake.
func neverStarts() []ending {
	start := func(what string, w report) ending {
		return ending{name: "start: " + what, start: what, want: []report{w}}
	}
	list := []ending{
		start("exit", report{kind: skalds.ExitHandshake, code: 7, message: []string{"exit code 7", "no licence found"}}),
		start("panic", report{kind: skalds.ExitHandshake, code: 2, message: []string{"exit code 2", "panic: before the handshake"}, stack: "goroutine"}),
		start("rubbish", report{kind: skalds.ExitHandshake, code: 3, message: []string{"exit code 3", "hello, I am no worker"}}),
		start("version", report{kind: skalds.ExitHandshake, code: -1, signal: killed, message: []string{"version 99", "build it with the SDK"}, permanent: true}),
		start("wrong token", report{kind: skalds.ExitHandshake, code: -1, signal: killed, message: []string{"refused", "token"}, permanent: true}),
		start("dead socket", report{kind: skalds.ExitHandshake, code: -1, signal: killed, message: []string{"nobody.sock"}, permanent: true}),
		start("hang", report{kind: skalds.ExitStartTimeout, code: -1, signal: killed, message: []string{"not ready in time"}}),
		start("mute", report{kind: skalds.ExitStartTimeout, code: -1, signal: killed, message: []string{"not ready in time"}}),
		start("leak", report{kind: skalds.ExitLimit, code: -1, signal: killed, message: []string{"memory", "limit is 128 MiB"}}),
	}
	for n := range list {
		switch list[n].start {
		case "hang", "mute":
			list[n].late = 400 * time.Millisecond
		case "leak":
			list[n].limits.MemoryBytes = 128 << 20
		}
	}
	for _, code := range []int{0, 1, 2, 137} {
		list = append(list, start(fmt.Sprintf("exit with:%d", code), report{kind: skalds.ExitHandshake, code: code, message: []string{fmt.Sprintf("exit code %d", code), "the disk is on fire"}}))
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
		list = append(list, start(fmt.Sprintf("signal-self:%d", sig), report{kind: skalds.ExitSignal, code: -1, signal: sig.String(), message: []string{fmt.Sprintf("signal %d", sig), "before it was ready"}}))
	}
	for _, sig := range []syscall.Signal{syscall.SIGSEGV, syscall.SIGABRT} {
		list = append(list, start(fmt.Sprintf("signal-self:%d", sig), report{kind: skalds.ExitHandshake, code: 2, message: []string{"exit code 2", "SIG"}, stack: "goroutine"}))
	}
	return list
}

// isEnded lists what others do to a worker, the host among them.
func isEnded() []ending {
	signalled := func(sig syscall.Signal) func(testing.TB, *attempt, *rand.Rand) {
		return func(t testing.TB, a *attempt, r *rand.Rand) {
			t.Helper()
			atAnyMoment(r, 20*time.Millisecond)
			if err := syscall.Kill(a.PID(), sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	outside := func(sig syscall.Signal) report {
		return report{kind: skalds.ExitSignal, code: -1, signal: sig.String(), message: []string{"killed by", "from outside"}}
	}
	list := []ending{
		{name: "SIGKILL from outside", script: script{Do: "wait"}, act: signalled(syscall.SIGKILL), want: []report{outside(syscall.SIGKILL)}},
		{name: "SIGKILL while busy", script: script{Do: "spin"}, act: signalled(syscall.SIGKILL), want: []report{outside(syscall.SIGKILL)}},
		{name: "SIGTERM from outside", script: script{Do: "wait"}, act: signalled(syscall.SIGTERM), want: []report{{kind: skalds.ExitSignal, signal: "terminated", message: []string{"SIGTERM", "outside"}}}},
		{name: "SIGKILL while frozen", script: script{Do: "beat"}, act: func(t testing.TB, a *attempt, r *rand.Rand) {
			t.Helper()
			freeze(t, a)
			signalled(syscall.SIGKILL)(t, a, r)
		}, want: []report{outside(syscall.SIGKILL)}},
		{name: "SIGINT does not end a worker", script: script{Do: "wait"}, act: func(t testing.TB, a *attempt, r *rand.Rand) {
			t.Helper()
			signalled(syscall.SIGINT)(t, a, r)
			a.Kill(skalds.ExitPreempted, "make room")
		}, want: []report{{kind: skalds.ExitPreempted, code: -1, signal: killed, message: []string{"make room"}}}},
		{name: "stopped worker killed by its host", script: script{Do: "wait"}, act: func(t testing.TB, a *attempt, _ *rand.Rand) {
			t.Helper()
			freezeFromOutside(t, a.PID())
			a.Kill(skalds.ExitRPCLost, "no answer")
		}, want: []report{{kind: skalds.ExitRPCLost, code: -1, signal: killed, message: []string{"no answer"}}}},
		{name: "no more RPC", script: script{Do: "become", Text: "exec sleep 300"}, act: func(t testing.TB, a *attempt, _ *rand.Rand) {
			t.Helper()
			<-a.over
			x := a.Explain(nil, a.runErr)
			if !(report{kind: skalds.ExitRPCLost, code: x.Code, message: []string{"the process lives"}}).fits(x) {
				t.Errorf("before the kill: %+v", x)
			}
			a.Kill(skalds.ExitRPCLost, "its connection is lost")
		}, want: []report{{kind: skalds.ExitRPCLost, code: -1, signal: killed, message: []string{"its connection is lost"}}}},
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGXCPU, syscall.SIGUSR1} {
		if signal.Ignored(sig) {
			continue // these tests run under nohup, and so do the workers
		}
		list = append(list, ending{name: fmt.Sprintf("signal %d to another program", sig), script: script{Do: "become", Text: "exec sleep 300"}, act: func(t testing.TB, a *attempt, r *rand.Rand) {
			t.Helper()
			<-a.over // it is that program now
			signalled(sig)(t, a, r)
		}, want: []report{outside(sig)}})
	}
	for n, kind := range []skalds.ExitKind{skalds.ExitRunTimeout, skalds.ExitCancelled, skalds.ExitDrain, skalds.ExitSuperseded, skalds.ExitPreempted, skalds.ExitHostStop, skalds.ExitLeaseLost} {
		message := "because of " + string(kind)
		ours := report{kind: kind, code: -1, signal: killed, message: []string{message}}
		what := []string{"wait", "spin", "ignore"}[n%3]
		list = append(
			list,
			ending{name: "kill for " + string(kind), script: script{Do: what}, act: func(_ testing.TB, a *attempt, r *rand.Rand) {
				atAnyMoment(r, 20*time.Millisecond)
				a.Kill(kind, message)
				a.Kill(skalds.ExitNodeLost, "the first reason holds")
			}, want: []report{ours}},
			ending{name: "stop for " + string(kind), script: script{Do: "wait"}, act: func(t testing.TB, a *attempt, r *rand.Rand) {
				t.Helper()
				atAnyMoment(r, 20*time.Millisecond)
				stop(t, a, kind, time.Minute)
			}, want: []report{{kind: kind, message: []string{"stopped"}}}},
			ending{name: "stop of a deaf one for " + string(kind), script: script{Do: "ignore"}, act: func(t testing.TB, a *attempt, r *rand.Rand) {
				t.Helper()
				stop(t, a, kind, time.Duration(r.Int64N(int64(20*time.Millisecond))))
			}, want: []report{{kind: kind, code: -1, signal: killed, message: []string{"stopped by its host"}}}},
			ending{name: "kill of a frozen one for " + string(kind), script: script{Do: "beat"}, act: func(t testing.TB, a *attempt, r *rand.Rand) {
				t.Helper()
				freeze(t, a)
				atAnyMoment(r, 5*time.Millisecond)
				a.Kill(kind, message)
			}, want: []report{ours}},
		)
	}
	for _, kind := range []skalds.ExitKind{skalds.ExitStall, skalds.ExitRunTimeout} {
		list = append(list, ending{name: "stack for " + string(kind), script: script{Do: "ignore"}, act: func(_ testing.TB, a *attempt, r *rand.Rand) {
			atAnyMoment(r, 20*time.Millisecond)
			a.KillWithStack(kind, "stands still")
		}, want: []report{{kind: kind, code: 2, message: []string{"stands still"}, stack: "scripted.Main"}}})
	}
	return append(list, races()...)
}

// races lists ends that come at about the same time as another. Either is right, but as a whole.
func races() []ending {
	const after = 4000 // µs
	about := func(r *rand.Rand) { atAnyMoment(r, 2*after*time.Microsecond) }
	ours := report{kind: skalds.ExitSuperseded, code: -1, signal: killed, message: []string{"too late"}}
	ended := func(code int, signal, stack string) report { // by itself, when our reason had been given already
		return report{kind: ours.kind, code: code, signal: signal, stack: stack, message: ours.message}
	}
	kill := func(_ testing.TB, a *attempt, r *rand.Rand) { about(r); a.Kill(ours.kind, "too late") }
	outside := func(sig syscall.Signal) func(t testing.TB, a *attempt, r *rand.Rand) {
		return func(t testing.TB, a *attempt, r *rand.Rand) {
			t.Helper()
			id := procstats.ID{PID: a.PID()}
			if p, err := procstats.Read(a.PID()); err == nil {
				id = p.ID
			}
			about(r)
			signalProcess(id, sig)
		}
	}
	completed := report{kind: skalds.ExitCompleted}
	return []ending{
		{name: "kill or completed", script: script{Do: "finish", After: after}, act: kill, want: []report{ours, completed}},
		{name: "kill or error", script: script{Do: "error", Text: "no disk", After: after}, act: kill, want: []report{ours, {kind: skalds.ExitError, message: []string{"no disk"}}}},
		{name: "kill or exit", script: script{Do: "exit", Code: 9, After: after}, act: kill, want: []report{ours, ended(9, "", ""), {kind: skalds.ExitExit, code: 9, message: []string{"exit code 9"}}}},
		{name: "kill or panic", script: script{Do: "panic-goroutine", Text: "oops", After: after}, act: kill, want: []report{ours, ended(2, "", "goroutine"), {kind: skalds.ExitPanic, code: 2, message: []string{"panic: oops"}, stack: "goroutine"}}},
		{name: "kill or crash", script: script{Do: "become", Text: "kill -11 $$", After: after}, act: kill, want: []report{ours, ended(-1, syscall.SIGSEGV.String(), ""), {kind: skalds.ExitSignal, code: -1, signal: syscall.SIGSEGV.String(), message: []string{"crashed by SIGSEGV"}}}},
		{name: "stop or completed", script: script{Do: "finish", After: after}, act: func(t testing.TB, a *attempt, r *rand.Rand) {
			t.Helper()
			about(r)
			stop(t, a, skalds.ExitDrain, time.Minute)
		}, want: []report{completed, {kind: skalds.ExitDrain, message: []string{"stopped"}}}},
		{name: "SIGKILL or completed", script: script{Do: "finish", After: after}, act: outside(syscall.SIGKILL), want: []report{completed, {kind: skalds.ExitSignal, code: -1, signal: killed, message: []string{"SIGKILL", "outside"}}}},
		{name: "SIGTERM or completed", script: script{Do: "finish", After: after}, act: outside(syscall.SIGTERM), want: []report{completed, {kind: skalds.ExitSignal, signal: "terminated", message: []string{"SIGTERM", "outside"}}}},
	}
}

func freeze(t testing.TB, a *attempt) {
	t.Helper()
	if err := a.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stop is the ladder as a host climbs it: what has said its last word is left.
func stop(t testing.TB, a *attempt, kind skalds.ExitKind, grace time.Duration) {
	t.Helper()
	go func() {
		<-a.over
		a.mu.Lock()
		said := a.finished != nil
		a.mu.Unlock()
		if said {
			a.Leave()
		}
	}()
	if err := a.Stop(t.Context(), string(kind), grace); err != nil {
		t.Error(err)
	}
}

// TestKilledInEveryWay lets workers die in all ways that can be told apart, several at once, in random order and at random
// moments; every report must be right. SKALDS_NIGHTLY=1 has ten times as many.
func TestKilledInEveryWay(t *testing.T) {
	l, p := setup(t)
	endings := append(append(dies(), neverStarts()...), isEnded()...)
	n := nightly(300, 3000)
	seed := seeded(t)
	source := rand.New(rand.NewPCG(seed, 0))
	for i := range endings {
		endings[i].want = heldBy(l, endings[i])
	}
	deaths := make(chan int, n)
	for order := []int(nil); len(deaths) < n; order = order[1:] {
		if len(order) == 0 {
			order = source.Perm(len(endings))
		}
		deaths <- order[0]
	}
	close(deaths)
	t.Logf("%d deaths of %d kinds", n, len(endings))
	begin := time.Now()
	var number int
	var mu sync.Mutex
	var several sync.WaitGroup
	for range 8 {
		several.Go(func() {
			for which := range deaths {
				mu.Lock()
				number++
				own := rand.New(rand.NewPCG(seed, uint64(number)))
				mu.Unlock()
				e := endings[which]
				t.Run(strings.ReplaceAll(e.name, " ", "_"), func(t *testing.T) {
					if x := e.happen(t, l, p, own); !e.fits(x) {
						t.Errorf("got %s", shown(x))
					}
				})
			}
		})
	}
	several.Wait()
	t.Logf("took %s", time.Since(begin).Round(time.Millisecond))
	if left := l.all(); len(left) > 0 {
		t.Errorf("%d instances are left", len(left))
	}
	if entries, err := os.ReadDir(l.base); err != nil || len(entries) > 0 {
		t.Errorf("left in the run folder: %v %v", entries, err)
	}
}

func (e ending) fits(x skalds.Exit) bool {
	for _, w := range e.want {
		if w.fits(x) {
			return true
		}
	}
	return false
}

func shown(x skalds.Exit) string {
	x.Stack = fmt.Sprintf("%.600s", x.Stack)
	return fmt.Sprintf("%+v", x)
}

// happen brings the end about and returns its report, which nothing that comes later may change.
func (e ending) happen(t testing.TB, l *Launcher, p *Plugin, r *rand.Rand) skalds.Exit {
	t.Helper()
	spec := LaunchSpec{Plugin: p, Limits: e.limits, StartTimeout: time.Minute}
	if e.late > 0 {
		spec.StartTimeout = e.late
	}
	if e.start != "" {
		spec.TaskID, spec.Env = t.Name(), []string{"SCRIPT_START=" + e.start}
		_, err := l.Launch(t.Context(), spec)
		var le *LaunchError
		if !errors.As(err, &le) {
			t.Fatalf("got %v", err)
		}
		return le.Exit()
	}
	s := e.script
	s.File = filepath.Join(t.TempDir(), "pids")
	a := launch(t, l, p, s, spec)
	if e.act != nil {
		e.act(t, a, r)
	}
	x := a.end(t)
	a.Kill(skalds.ExitNodeLost, "long after its end")
	a.mu.Lock()
	defer a.mu.Unlock()
	if later := a.Explain(a.finished, a.runErr); !cmp.Equal(x, later) {
		t.Errorf("a kill after its end makes the report another:\n%s\nwas\n%s", shown(later), shown(x))
	}
	return x
}

// notWithRaceDetector leaves out a test of shares and speeds, which says nothing of a program with the race detector in it.
func notWithRaceDetector(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("measures, which the race detector distorts: it runs without")
	}
}
