package controller_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// TestManyNodesLostAtOnce: the power of a rack fails, and all of its tasks run elsewhere as soon as those of one node would, with a
// database that takes 5 ms for a call.
func TestManyNodesLostAtOnce(t *testing.T) {
	const nodes, perNode, promised = 100, 10, 9 * time.Second
	inWorld(t, func(t *testing.T, w *world) {
		w.stop()
		w.wrap = func(inner controller.Store) controller.Store { return &measuredStore{inner, 5 * time.Millisecond} }
		w.start()
		for i := range nodes {
			h := w.host(fmt.Sprintf("n%03d", i))
			h.Behave = forever
			h.Start()
			time.Sleep(17 * time.Millisecond) // hosts do not beat in step
		}
		time.Sleep(30 * time.Second)
		for i := range nodes * perNode {
			w.create(fmt.Sprint("t", i))
		}
		running := func(on func(node string) bool) (n int) {
			for _, t := range w.store.All() {
				if t.LifecycleStatus == skalds.Running && on(t.Executor) {
					n++
				}
			}
			return n
		}
		everywhere := func(string) bool { return true }
		w.await("all run", func() bool { return running(everywhere) == nodes*perNode })
		rack := w.hosts
		other := w.host("other")
		other.Behave = forever
		other.Capacity = skalds.Capacity{CPUCores: 1e6, MemoryBytes: 1 << 50}
		w.startHost(other)
		time.Sleep(10 * time.Second)
		begun := time.Now()
		for _, h := range rack {
			h.Kill()
		}
		for running(func(node string) bool { return node == "other" }) < nodes*perNode {
			if time.Since(begun) > time.Minute {
				t.Fatalf("after a minute %d of %d tasks run elsewhere", running(func(node string) bool { return node == "other" }), nodes*perNode)
			}
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		took := time.Since(begun)
		t.Logf("%d tasks of %d nodes run elsewhere after %s", nodes*perNode, nodes, took)
		if took > promised {
			t.Errorf("all run elsewhere after %s, not within %s", took, promised)
		}
		time.Sleep(10 * time.Second)
		for i := range nodes * perNode {
			if list, err := w.Tasks().Attempts(t.Context(), fmt.Sprint("t", i)); err != nil || len(list) == 0 || list[0].Exit == nil || list[0].Exit.Kind != skalds.ExitNodeLost {
				t.Fatalf("the attempt that ended with its node is not written down: %+v, %v", list, err)
			}
		}
	})
}
