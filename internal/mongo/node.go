package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// SaveNode stores n if its revision is the stored one, with one more.
func (s *Store) SaveNode(ctx context.Context, n skalds.Node) error {
	before := n.Revision
	n.Revision++
	doc, err := encodeRecord(n)
	if err != nil {
		return fmt.Errorf("write node %s: %w", n.ID, err)
	}
	doc = append(doc, bson.E{Key: fieldRevision, Value: n.Revision})
	return s.do(ctx, "save node "+n.ID, func() error {
		r, err := s.nodes.ReplaceOne(ctx, bson.D{{Key: "_id", Value: n.ID}, {Key: fieldRevision, Value: revision(before)}}, doc)
		if err != nil || r.MatchedCount == 1 {
			return err
		}
		if before == 0 {
			_, err = s.nodes.InsertOne(ctx, append(bson.D{{Key: "_id", Value: n.ID}}, doc...))
			if !mongo.IsDuplicateKeyError(err) {
				return err
			}
		}
		return skalds.ErrRevision
	})
}

// Nodes lists all nodes, sorted by id.
func (s *Store) Nodes(ctx context.Context) (list []skalds.Node, err error) {
	err = s.do(ctx, "list nodes", func() error {
		c, err := s.nodes.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
		list, err = all(ctx, c, err, decodeRecord[skalds.Node])
		return err
	})
	return list, err
}

// SaveWorkers replaces the node's set, which is one document.
func (s *Store) SaveWorkers(ctx context.Context, nodeID string, workers []skalds.WorkerInfo) error {
	doc, err := encodeRecord(workers)
	if err != nil {
		return fmt.Errorf("write the workers of node %s: %w", nodeID, err)
	}
	return s.do(ctx, "save the workers of node "+nodeID, func() error {
		_, err := s.workers.ReplaceOne(ctx, bson.D{{Key: "_id", Value: nodeID}}, doc, options.Replace().SetUpsert(true))
		return err
	})
}

// Workers lists every plugin once per digest, sorted by name and version, with the nodes that have it.
func (s *Store) Workers(ctx context.Context) ([]controller.WorkerOnNodes, error) {
	type ofNode struct {
		node    string
		workers []skalds.WorkerInfo
	}
	var list []ofNode
	err := s.do(ctx, "list workers", func() error {
		c, err := s.workers.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
		list, err = all(ctx, c, err, func(raw bson.Raw) (o ofNode, err error) {
			o.node, _ = raw.Lookup("_id").StringValueOK()
			o.workers, err = decodeRecord[[]skalds.WorkerInfo](raw)
			return o, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	places := map[[3]string]int{}
	workers := []controller.WorkerOnNodes{}
	for _, o := range list {
		for _, w := range o.workers {
			file := [3]string{w.Name, w.Version, w.Digest}
			i, known := places[file]
			if !known {
				i = len(workers)
				places[file] = i
				workers = append(workers, controller.WorkerOnNodes{WorkerInfo: w})
			}
			workers[i].Nodes = append(workers[i].Nodes, o.node)
		}
	}
	slices.SortFunc(workers, func(a, b controller.WorkerOnNodes) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Digest, b.Digest))
	})
	return workers, nil
}

// The documents of the collection "meta".
const (
	metaGeneration = "generation"
	metaLeader     = "leader"
	metaOffset     = "offset "
)

// read reads a document of the collection "meta" into v; found is false where there is none.
func (s *Store) read(ctx context.Context, what, id string, v any) (found bool, err error) {
	err = s.do(ctx, what, func() error {
		err := s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(v)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return nil
		}
		found = err == nil
		return err
	})
	return found, err
}

// Generation is 1 in a new database.
func (s *Store) Generation(ctx context.Context) (int64, error) {
	doc := struct{ Value int64 }{1}
	_, err := s.read(ctx, "read the store's generation", metaGeneration, &doc)
	return doc.Value, err
}

// SaveOffset keeps how far a stream has been applied.
func (s *Store) SaveOffset(ctx context.Context, stream, offset string) error {
	return s.do(ctx, "save the offset of "+stream, func() error {
		_, err := s.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: metaOffset + stream}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "value", Value: offset}}}}, options.UpdateOne().SetUpsert(true))
		return err
	})
}

// Offset reads it; "" where none was saved.
func (s *Store) Offset(ctx context.Context, stream string) (string, error) {
	doc := struct{ Value string }{}
	_, err := s.read(ctx, "read the offset of "+stream, metaOffset+stream, &doc)
	return doc.Value, err
}
