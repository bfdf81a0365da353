package plugins

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// overMemory reports whether a report tells of an end for memory, by what holds that limit here.
func overMemory(l *Launcher, x skalds.Exit) bool {
	kind := skalds.ExitLimit
	if l.groups.holdsMemory() {
		kind = skalds.ExitOOM
	}
	return x.Kind == kind && x.Limit == skalds.LimitMemory && x.ForMemory()
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
	if !overMemory(l, x) || !contains(x.Message, "memory", "limit is 128 MiB", "peak") {
		t.Errorf("got %+v", x)
	}
	if peak := leaker.Peak().MemoryBytes; peak < 128<<20 || peak > 128<<20+5*150<<20 { // 0.15 s at 1 GB/s
		t.Errorf("peak %s", mib(peak))
	}
	curve := leaker.UsageCurve()
	if n := len(curve); n < 2 || n > curvePoints || curve[n-1].Usage.MemoryBytes <= limits.MemoryBytes*8/10 || curve[0].Usage.MemoryBytes > limits.MemoryBytes {
		t.Errorf("the way to its end: %+v", curve)
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
	if x := a.end(t); !overMemory(l, x) || !contains(x.Message, "memory", "limit is 128 MiB") {
		t.Errorf("got %+v", x)
	}
	if peak := a.Peak().MemoryBytes; peak < 128<<20 || peak > 128<<20+5*150<<20 { // 0.15 s at 1 GB/s
		t.Errorf("peak %s", mib(peak))
	}
}

func TestMemoryLimitBeforeTheHandshake(t *testing.T) {
	l, p := setup(t)
	_, err := l.Launch(t.Context(), LaunchSpec{
		Plugin: p, TaskID: "x", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=leak"}, Limits: skalds.Limits{MemoryBytes: 64 << 20},
	})
	var le *LaunchError
	if !errors.As(err, &le) || !overMemory(l, le.Exit()) || !contains(le.Message, "memory", "64 MiB") {
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

// Processes count against the limit in TestForkBombIsBounded.
func TestThreadsCountAgainstTheLimitOfProcesses(t *testing.T) {
	l, p := setup(t)
	few := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Limits: skalds.Limits{PIDs: enoughThreads}})
	many := launch(t, l, p, script{Do: "threads", N: enoughThreads}, LaunchSpec{Limits: skalds.Limits{PIDs: enoughThreads}})
	if x := many.end(t); x.Kind != skalds.ExitLimit || x.Limit != skalds.LimitPIDs || !contains(x.Message, "processes and threads", fmt.Sprintf("limit is %d", enoughThreads)) {
		t.Errorf("got %+v", x)
	}
	select {
	case <-few.Done():
		t.Error("one that has few was killed, too")
	default:
	}
}

// enoughThreads is a limit that a worker of Go which does nothing in particular stays below on any machine.
const enoughThreads = 100
