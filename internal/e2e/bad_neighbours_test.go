package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// neighbour is a bad one, and how it has to end.
type neighbour struct {
	do      string
	change  func(*api.CreateTask)
	kind    skalds.ExitKind
	message string
}

// until lets a task run for at most some time, after which it is killed.
func until(d time.Duration) func(*api.CreateTask) {
	return func(c *api.CreateTask) { c.Timeouts.Run = skalds.Duration(d) }
}

var neighbours = []neighbour{
	{"leak", func(c *api.CreateTask) { c.Limits.MemoryBytes = 128 << 20 }, skalds.ExitLimit, "memory"},
	{"bomb", func(c *api.CreateTask) { c.Limits.PIDs = 20 }, skalds.ExitLimit, "processes"},
	{"storm", until(2 * time.Second), skalds.ExitRunTimeout, "2s"},
	{"spin", until(time.Second), skalds.ExitRunTimeout, "1s"},
	{"flood", until(2 * time.Second), skalds.ExitRunTimeout, "2s"},
	{"deaf", until(time.Second), skalds.ExitRunTimeout, "1s"},
	{"panic", nil, skalds.ExitPanic, "panic"},
	{"exit", nil, skalds.ExitExit, "exit code 9"},
	{"crash", nil, skalds.ExitSignal, "crashed by SIGSEGV"},
}

// TestRecordersBesideKilledNeighbours lets workers of every bad kind live beside a camera and its recorders, in random order and
// three at once. Each ends as it must, and the recorders miss no picture. SKALDS_NIGHTLY=1 has ten times as many; SKALDS_SEED
// repeats a run.
func TestRecordersBesideKilledNeighbours(t *testing.T) {
	count, seed := 2*len(neighbours), rand.Uint64()
	if os.Getenv("SKALDS_NIGHTLY") != "" {
		count *= 10
	}
	if s := os.Getenv("SKALDS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SKALDS_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	p := standalone(t, t.TempDir(), "--warm-workers", "0") // else processes wait for more of them
	address := freeAddress(t)
	p.create(persistent(t, "camera", "TestCamera", cameraAt(address)))
	p.counts("camera", 0)
	ids := []string{"recorder-0", "recorder-1"}
	pids := map[string]int{}
	for _, id := range ids {
		p.create(persistent(t, id, "RTSPRecorder", recorderOf(address).with(object{"watchdogSeconds": 600})))
	}
	for _, id := range append(ids, "camera") {
		p.becomes(id, "works", func(r api.TaskResponse) bool { return r.Progress.Units > cameraFPS })
		pids[id] = p.runs(id).Instance.PID
	}

	next := make(chan neighbour, count)
	for len(next) < count {
		for _, n := range rng.Perm(len(neighbours)) {
			next <- neighbours[n]
		}
	}
	close(next)
	var mu sync.Mutex
	number := 0
	var several sync.WaitGroup
	for range 3 {
		several.Go(func() {
			for n := range next {
				mu.Lock()
				number++
				id := fmt.Sprintf("%s-%d", n.do, number)
				mu.Unlock()
				t.Run(id, func(t *testing.T) {
					own := *p
					own.t = t
					own.create(task(id, n.do, func(c *api.CreateTask) {
						c.Retry.MaxAttempts = 1
						if n.change != nil {
							n.change(c)
						}
					}))
					r := own.ends(id)
					if r.LifecycleStatus != skalds.Failed || r.LastExit == nil || r.LastExit.Kind != n.kind && !(n.do == "leak" && r.LastExit.ForMemory()) || !strings.Contains(r.LastExit.Message, n.message) {
						t.Errorf("it is %s by %+v", r.LifecycleStatus, r.LastExit)
					}
				})
			}
		})
	}
	several.Wait()

	seen := p.beats(ids[0], 1).Progress.Units
	for _, id := range ids {
		p.becomes(id, "goes on", func(r api.TaskResponse) bool { return r.Progress.Units > seen+2*cameraFPS })
	}
	for _, id := range append(ids, "camera") {
		if r := p.runs(id); r.Attempt != 1 || r.BudgetUsed != 0 || r.Instance.PID != pids[id] {
			t.Errorf("%s: attempt %d, process %+v after %d", id, r.Attempt, r.Instance, pids[id])
		}
	}
	p.missesNothing("camera", address, ids)
	if left := scriptedProcesses(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// scriptedProcesses lists live processes of the scripted worker.
func scriptedProcesses() (out []string) {
	for _, line := range processesOf(built.dir) {
		if strings.Contains(line, "/"+scriptedName+" ") || strings.HasSuffix(line, "/"+scriptedName) {
			out = append(out, line)
		}
	}
	return out
}
