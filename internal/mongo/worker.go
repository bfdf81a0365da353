package mongo

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// nodeWorkers is the set of a node, one document, so that it is replaced in one step.
type nodeWorkers struct {
	Node    string              `json:"node"`
	Workers []skalds.WorkerInfo `json:"workers"`
}

// SaveWorkers replaces the node's set.
func (s *Store) SaveWorkers(ctx context.Context, nodeID string, workers []skalds.WorkerInfo) error {
	doc, err := with(bson.D{{Key: "_id", Value: nodeID}}, nodeWorkers{nodeID, workers})
	if err != nil {
		return fmt.Errorf("write the workers of node %s: %w", nodeID, err)
	}
	return s.write(ctx, "save the workers of node "+nodeID, func(ctx context.Context) error {
		return s.put(ctx, s.workers, nodeID, doc)
	})
}

// Workers lists every plugin once per digest, sorted by name and version, with the nodes that have it.
func (s *Store) Workers(ctx context.Context) ([]controller.WorkerOnNodes, error) {
	sets, err := contents[nodeWorkers](s.find(ctx, "list workers", s.workers, bson.D{}, options.Find().SetSort(keys("_id"))))
	if err != nil {
		return nil, err
	}
	type build struct{ name, version, digest string }
	found := map[build]int{}
	workers := []controller.WorkerOnNodes{}
	for _, set := range sets {
		had := map[build]bool{}
		for _, w := range lastOfEach(set.Workers) {
			key := build{w.Name, w.Version, w.Digest}
			i, known := found[key]
			if !known {
				i = len(workers)
				found[key] = i
				workers = append(workers, controller.WorkerOnNodes{WorkerInfo: w})
			}
			if !had[key] {
				workers[i].Nodes = append(workers[i].Nodes, set.Node)
			}
			had[key] = true
		}
	}
	slices.SortFunc(workers, func(a, b controller.WorkerOnNodes) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Digest, b.Digest))
	})
	return workers, nil
}

// lastOfEach leaves the last of those that share name and version: a node has one file of each.
func lastOfEach(workers []skalds.WorkerInfo) []skalds.WorkerInfo {
	kept := make([]skalds.WorkerInfo, 0, len(workers))
	for i, w := range workers {
		if !slices.ContainsFunc(workers[i+1:], func(o skalds.WorkerInfo) bool { return o.Name == w.Name && o.Version == w.Version }) {
			kept = append(kept, w)
		}
	}
	return kept
}
