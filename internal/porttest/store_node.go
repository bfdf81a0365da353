package porttest

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

func storeNodes(t *testing.T, s controller.Store) {
	ctx := t.Context()
	n1 := skalds.Node{ID: "n1", Mode: skalds.NodeModeNode, Incarnation: 3, Partition: 7, LastHelloAt: 5, Workers: []string{"w@1.0.0@sha256:a"}, Revision: 1, Labels: map[string]string{"a.b/c": "$d", "$e": "f"}}
	for _, n := range []skalds.Node{{ID: "n2", Mode: skalds.NodeModeEdge}, {ID: "n1"}, n1} {
		if err := s.SaveNode(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := s.Nodes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stale := n1
	n1.Revision = 2
	same(t, "nodes", nodes, []skalds.Node{n1, {ID: "n2", Mode: skalds.NodeModeEdge, Revision: 1}})
	for _, n := range []skalds.Node{stale, {ID: "n2"}, {ID: "n3", Revision: 4}} {
		if err := s.SaveNode(ctx, n); !errors.Is(err, skalds.ErrRevision) {
			t.Errorf("node %s saved by revision %d: %v", n.ID, n.Revision, err)
		}
	}

	w := func(version, digest string) skalds.WorkerInfo {
		return skalds.WorkerInfo{Name: "w", Version: version, Digest: digest, Protocol: 1, Classes: []skalds.ClassInfo{{ClassName: "Recorder", Schema: json.RawMessage(`{"type":"object"}`)}}}
	}
	for _, c := range []struct {
		node    string
		workers []skalds.WorkerInfo
	}{
		{"n1", []skalds.WorkerInfo{w("1.0.0", "sha256:a"), w("0.9.0", "sha256:x")}},
		{"n2", []skalds.WorkerInfo{w("1.0.0", "sha256:a"), w("2.0.0", "sha256:b")}},
		{"n1", []skalds.WorkerInfo{w("1.0.0", "sha256:a"), w("2.0.0", "sha256:c")}}, // 0.9.0 is gone, 2.0.0 another file
	} {
		if err := s.SaveWorkers(ctx, c.node, c.workers); err != nil {
			t.Fatal(err)
		}
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "workers", workers, []controller.WorkerOnNodes{
		{WorkerInfo: w("1.0.0", "sha256:a"), Nodes: []string{"n1", "n2"}},
		{WorkerInfo: w("2.0.0", "sha256:b"), Nodes: []string{"n2"}},
		{WorkerInfo: w("2.0.0", "sha256:c"), Nodes: []string{"n1"}},
	})
	if err := s.SaveWorkers(ctx, "n2", nil); err != nil {
		t.Fatal(err)
	}
	if workers, err = s.Workers(ctx); err != nil || len(workers) != 2 {
		t.Errorf("after n2 has none: %d workers, %v; want 2", len(workers), err)
	}
	storeDeletedNodes(t, s)
}

// storeDeletedNodes deletes n1, which has revision 2 and workers, and one that nothing but workers is left of.
func storeDeletedNodes(t *testing.T, s controller.Store) {
	ctx := t.Context()
	for _, revision := range []int64{0, 1, 3} {
		if err := s.DeleteNode(ctx, "n1", revision); !errors.Is(err, skalds.ErrRevision) {
			t.Errorf("n1 deleted by revision %d: %v", revision, err)
		}
	}
	if workers, err := s.Workers(ctx); err != nil || len(workers) != 2 {
		t.Errorf("a node that was not deleted: %d workers, %v; want 2", len(workers), err)
	}
	if err := s.SaveWorkers(ctx, "rest", []skalds.WorkerInfo{{Name: "r", Version: "1.0.0", Digest: "sha256:r"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as after an answer that was lost
		if err := s.DeleteNode(ctx, "n1", 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteNode(ctx, "rest", 0); err != nil {
		t.Fatal(err)
	}
	nodes, err := s.Nodes(ctx)
	if err != nil || len(nodes) != 1 || nodes[0].ID != "n2" {
		t.Errorf("left: %+v, %v; want n2", nodes, err)
	}
	if workers, err := s.Workers(ctx); err != nil || len(workers) != 0 {
		t.Errorf("left: %+v, %v; want no workers", workers, err)
	}
	if err := s.SaveNode(ctx, skalds.Node{ID: "n1", Incarnation: 4}); err != nil { // it is new
		t.Errorf("n1 comes back: %v", err)
	}
}
