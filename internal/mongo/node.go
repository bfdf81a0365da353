package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
)

// SaveNode inserts or replaces a node.
func (s *Store) SaveNode(ctx context.Context, n skalds.Node) error {
	before := n.Revision
	n.Revision++
	doc, err := with(bson.D{{Key: "_id", Value: n.ID}, {Key: "revision", Value: n.Revision}}, n)
	if err != nil {
		return fmt.Errorf("write node %s: %w", n.ID, err)
	}
	return s.write(ctx, "save node "+n.ID, func(ctx context.Context) error {
		if before == 0 {
			_, err := s.nodes.InsertOne(ctx, doc)
			if driver.IsDuplicateKeyError(err) {
				return skalds.ErrRevision
			}
			return err
		}
		result, err := s.nodes.ReplaceOne(ctx, bson.D{{Key: "_id", Value: n.ID}, {Key: "revision", Value: before}}, doc)
		if err == nil && result.MatchedCount == 0 {
			return skalds.ErrRevision
		}
		return err
	})
}

// DeleteNode removes a node, then its workers: where it fails in between they are removed by another try.
func (s *Store) DeleteNode(ctx context.Context, id string, revision int64) error {
	return s.write(ctx, "delete node "+id, func(ctx context.Context) error {
		result, err := s.nodes.DeleteOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "revision", Value: revision}})
		if err != nil {
			return err
		}
		if result.DeletedCount == 0 {
			err := s.nodes.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Err()
			if err == nil {
				return skalds.ErrRevision
			}
			if !errors.Is(err, driver.ErrNoDocuments) {
				return err
			}
		}
		_, err = s.workers.DeleteOne(ctx, bson.D{{Key: "_id", Value: id}})
		return err
	})
}

// Nodes lists all nodes, sorted by id.
func (s *Store) Nodes(ctx context.Context) ([]skalds.Node, error) {
	return contents[skalds.Node](s.find(ctx, "list nodes", s.nodes, bson.D{}, options.Find().SetSort(keys("_id"))))
}

// SaveOffset keeps how far a stream has been applied.
func (s *Store) SaveOffset(ctx context.Context, stream, offset string) error {
	return s.write(ctx, "save the offset of "+stream, func(ctx context.Context) error {
		return s.put(ctx, s.offsets, stream, bson.D{{Key: "_id", Value: stream}, {Key: "value", Value: offset}})
	})
}

// put inserts or replaces the document under an _id.
func (s *Store) put(ctx context.Context, c *driver.Collection, id string, doc bson.D) error {
	replace := func() error {
		_, err := c.ReplaceOne(ctx, bson.D{{Key: "_id", Value: id}}, doc, options.Replace().SetUpsert(true))
		return err
	}
	err := replace()
	if driver.IsDuplicateKeyError(err) { // two that inserted it at once
		err = replace()
	}
	return err
}

// Offset reads it; "" where none was saved.
func (s *Store) Offset(ctx context.Context, stream string) (string, error) {
	var d struct {
		Value string `bson:"value"`
	}
	err := s.read(ctx, "read the offset of "+stream, func(ctx context.Context) error {
		err := s.offsets.FindOne(ctx, bson.D{{Key: "_id", Value: stream}}).Decode(&d)
		if errors.Is(err, driver.ErrNoDocuments) {
			return nil
		}
		return err
	})
	return d.Value, err
}
