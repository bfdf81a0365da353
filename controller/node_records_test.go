package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// manyNodes are nodes with ten plugins each, as a store has them.
func manyNodes(n int) (nodes []skalds.Node, workers []WorkerOnNodes) {
	var ids, refs []string
	for i := range 10 {
		w := skalds.WorkerInfo{Name: fmt.Sprint("w", i), Version: "1.0.0", Digest: "d", Classes: []skalds.ClassInfo{{ClassName: fmt.Sprint("A", i)}, {ClassName: fmt.Sprint("B", i)}}}
		workers = append(workers, WorkerOnNodes{WorkerInfo: w})
		refs = append(refs, w.Ref()+"@"+w.Digest)
	}
	for i := range n {
		id := fmt.Sprintf("node-%04d", i)
		ids = append(ids, id)
		nodes = append(nodes, skalds.Node{ID: id, Revision: 1, Incarnation: 1, Workers: refs})
	}
	for i := range workers {
		workers[i].Nodes = ids
	}
	return nodes, workers
}

// TestWhatHasNotChangedIsNotLoadedAgain: a reading of nodes that brings nothing new does next to nothing under the lock, and does
// not ask for plugins.
func TestWhatHasNotChangedIsNotLoadedAgain(t *testing.T) {
	const n = 300
	c := newCluster(DefaultConfig())
	at := time.UnixMilli(now)
	nodes, workers := manyNodes(n)
	c.load(nodes, newOffers(workers, nil), nil, at)
	same := newOffers(workers, c.offered())
	before := c.revisions()
	if allocs := testing.AllocsPerRun(5, func() { c.load(nodes, same, before, at) }); allocs > n/10 {
		t.Errorf("%v allocations for %d nodes that have not changed", allocs, n)
	}
	if c.missesWorkers(nodes) {
		t.Error("plugins are asked for that are known")
	}
	nodes[7].Revision, nodes[7].Workers = 2, nodes[7].Workers[1:]
	if !c.missesWorkers(nodes) {
		t.Error("nobody asks for the plugins of a node that has others now")
	}
	workers[0].Nodes = append(append([]string{}, workers[0].Nodes[:7]...), workers[0].Nodes[8:]...)
	c.load(nodes, newOffers(workers, c.offered()), before, at)
	if c.missesWorkers(nodes) || len(c.workers.on("node-0007")) != 9 || len(c.workers.on("node-0008")) != 10 {
		t.Errorf("after the change: %d plugins, %d on another node", len(c.workers.on("node-0007")), len(c.workers.on("node-0008")))
	}
}

// TestWhichRecordHolds: a reading does not bring back a record of before a change that was stored meanwhile.
func TestWhichRecordHolds(t *testing.T) {
	for _, tt := range []struct {
		name                string
		before, known, read int64
		holds               int64
	}{
		{"the first", 0, 0, 3, 3},
		{"nothing new", 3, 3, 3, 3},
		{"changed by another", 3, 3, 4, 4},
		{"changed here while it was read", 3, 4, 3, 4},
		{"changed here, then by another", 3, 4, 5, 5},
		{"a store that was set back", 9, 9, 2, 2},
		{"of before revisions were counted", 0, 0, 0, 0},
	} {
		c := newCluster(DefaultConfig())
		at := time.UnixMilli(now)
		if tt.known > 0 {
			c.stored(skalds.Node{ID: "n1", Revision: tt.known})
		}
		c.load([]skalds.Node{{ID: "n1", Revision: tt.read}}, nil, map[string]int64{"n1": tt.before}, at)
		if got := c.nodeRecord("n1").Revision; got != tt.holds {
			t.Errorf("%s: revision %d, want %d", tt.name, got, tt.holds)
		}
	}
}
