package controller_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// farStore takes a while for each answer, and counts them.
type farStore struct {
	controller.Store
	far time.Duration

	mu    sync.Mutex // guards calls
	calls map[string]int
}

func (s *farStore) asked(what string) {
	s.mu.Lock()
	s.calls[what]++
	s.mu.Unlock()
	time.Sleep(s.far)
}

func (s *farStore) count() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

func (s *farStore) Save(ctx context.Context, t *skalds.Task) error {
	s.asked("Save")
	return s.Store.Save(ctx, t)
}

func (s *farStore) OnNode(ctx context.Context, node string) ([]*skalds.Task, error) {
	s.asked("OnNode")
	return s.Store.OnNode(ctx, node)
}

func (s *farStore) Tasks(ctx context.Context, f controller.TaskFilter) (controller.TaskPage, error) {
	s.asked("Tasks")
	return s.Store.Tasks(ctx, f)
}

func (s *farStore) Nodes(ctx context.Context) ([]skalds.Node, error) {
	s.asked("Nodes")
	return s.Store.Nodes(ctx)
}

func (s *farStore) SaveNode(ctx context.Context, n skalds.Node) error {
	s.asked("SaveNode")
	return s.Store.SaveNode(ctx, n)
}

func (s *farStore) SaveWorkers(ctx context.Context, node string, w []skalds.WorkerInfo) error {
	s.asked("SaveWorkers")
	return s.Store.SaveWorkers(ctx, node, w)
}

func (s *farStore) Workers(ctx context.Context) ([]controller.WorkerOnNodes, error) {
	s.asked("Workers")
	return s.Store.Workers(ctx)
}

// TestManyNodesAreGreetedAnew: a controller that begins to lead greets all nodes soon, each by one hello and without writing what is
// stored already, and hands out tasks meanwhile.
func TestManyNodesAreGreetedAnew(t *testing.T) {
	const nodes, bound = 200, 5 * time.Second
	inWorld(t, func(t *testing.T, w *world) {
		for i := range nodes {
			h := w.host(fmt.Sprintf("n%03d", i))
			h.Behave, h.Step = forever, 50*time.Millisecond
			h.Start()
		}
		time.Sleep(30 * time.Second)
		w.stop()

		var mu sync.Mutex // guards all below
		asked, greeted, most, hellos := map[string]bool{}, map[string]bool{}, 0, 0
		w.bus.SetWatch(func(m skalds.NodeMessage) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case m.AskHello:
				asked[m.NodeID] = true
				most = max(most, len(asked))
			case m.Answer != nil:
				delete(asked, m.NodeID)
				greeted[m.NodeID] = true
			}
		}, func(m skalds.HostMessage) {
			mu.Lock()
			defer mu.Unlock()
			if m.Hello != nil {
				hellos++
			}
		})
		far := &farStore{far: 50 * time.Millisecond, calls: map[string]int{}}
		w.wrap = func(s controller.Store) controller.Store { far.Store = s; return far }
		began := time.Now()
		w.start()
		time.Sleep(4 * far.far) // it reads nodes, workers and tasks first
		w.create("meanwhile")
		all := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(greeted)
		}
		w.await("a task on a node", func() bool { return w.task("meanwhile").LifecycleStatus == skalds.Running })
		if n := all(); n == nodes {
			t.Error("no task is handed out before all nodes are greeted")
		}
		w.await("all nodes are greeted", func() bool { return all() == nodes })
		if took := time.Since(began); took > bound {
			t.Errorf("%d nodes are greeted after %s, want %s", nodes, took, bound)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if most > 32+16 || hellos != nodes { // the next are asked while answers are on their way
			t.Errorf("up to %d nodes were asked at a time and said hello %d times: want 32 and a few, and %d", most, hellos, nodes)
		}
		if n := far.count(); n["SaveNode"]+n["SaveWorkers"] > 0 || n["Workers"] > 3 || n["OnNode"] > nodes+1 {
			t.Errorf("the store was asked %v", n)
		}
	})
}
