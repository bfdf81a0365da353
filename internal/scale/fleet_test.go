//go:build linux

package scale

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// The classes of tasks: lasting ones run until they are stopped, brief ones for briefly.
const (
	lasting = "Lasting"
	brief   = "Brief"
	briefly = time.Second
)

// fleet is the nodes.
type fleet struct {
	*wires
	hosts []*controllertest.Host

	mu     sync.Mutex // guards the rest
	begun  map[string]time.Time
	again  int                  // processes of tasks that had begun before
	awaits map[string]chan bool // who waits for a task to begin
}

// startFleet starts nodes, a few at a time, as no machine starts so many at once.
func startFleet(t testing.TB, s services, nodes int) *fleet {
	t.Helper()
	f := &fleet{wires: newWires(t, s), begun: map[string]time.Time{}, awaits: map[string]chan bool{}}
	worker := skalds.WorkerInfo{
		Name: "scale-worker", Version: "1.0.0", Digest: "sha256:scale", Protocol: 1,
		Classes: []skalds.ClassInfo{{ClassName: lasting}, {ClassName: brief}},
	}
	for i := range nodes {
		h := controllertest.NewHost(f, fmt.Sprintf("node-%04d", i), worker)
		h.Capacity = skalds.Capacity{CPUCores: 8, MemoryBytes: 16 << 30}
		h.Usage = skalds.Usage{CPUCores: 0.1, MemoryBytes: 100 << 20}
		h.Labels = map[string]string{"zone": string(rune('a' + i%3))}
		h.Step = 100 * time.Millisecond
		h.Watch = f.watch
		h.Behave = func(c skalds.Command, _ int) controllertest.Plan {
			if c.Spec.ClassName == brief {
				return controllertest.Plan{Runs: briefly}
			}
			return controllertest.Plan{Runs: -1}
		}
		f.hosts = append(f.hosts, h)
	}
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, h := range f.hosts {
			wg.Go(h.Kill)
		}
		wg.Wait()
	})
	queue := make(chan *controllertest.Host)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for h := range queue {
				h.Start()
			}
		})
	}
	for _, h := range f.hosts {
		queue <- h
	}
	close(queue)
	wg.Wait()
	return f
}

func (f *fleet) watch(taskID string, _ int64, runs bool) {
	if !runs {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.begun[taskID]; ok {
		f.again++
		return
	}
	f.begun[taskID] = time.Now()
	if ch := f.awaits[taskID]; ch != nil {
		close(ch)
		delete(f.awaits, taskID)
	}
}

// began waits until a task has begun on some node.
func (f *fleet) began(ctx context.Context, taskID string) (time.Time, error) {
	f.mu.Lock()
	at, ok := f.begun[taskID]
	ch := f.awaits[taskID]
	if !ok && ch == nil {
		ch = make(chan bool)
		f.awaits[taskID] = ch
	}
	f.mu.Unlock()
	if ok {
		return at, nil
	}
	select {
	case <-ch:
	case <-ctx.Done():
		return at, fmt.Errorf("task %s has not begun: %w", taskID, ctx.Err())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun[taskID], nil
}

// twice is how many processes were started of tasks that had begun before.
func (f *fleet) twice() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.again
}
