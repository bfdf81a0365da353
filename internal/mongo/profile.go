package mongo

import (
	"context"
	"encoding/json"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds/controller"
)

// SaveProfiles inserts or replaces.
func (s *Store) SaveProfiles(ctx context.Context, profiles []controller.StoredProfile) error {
	if len(profiles) == 0 {
		return nil
	}
	var writes []mongo.WriteModel
	for _, p := range profiles {
		doc, err := encodeRecord(p.Doc)
		if err != nil {
			return fmt.Errorf("write what was learned about %s: %w", p.Worker, err)
		}
		doc = append(bson.D{{Key: "className", Value: p.ClassName}, {Key: "worker", Value: p.Worker}, {Key: "updatedAt", Value: p.UpdatedAt}}, doc...)
		writes = append(writes, mongo.NewReplaceOneModel().SetUpsert(true).SetFilter(bson.D{{Key: "_id", Value: key(p.ClassName, p.Worker)}}).SetReplacement(doc))
	}
	return s.do(ctx, "keep what was learned about workers", func() error {
		_, err := s.profiles.BulkWrite(ctx, writes)
		return err
	})
}

// Profiles lists all of them.
func (s *Store) Profiles(ctx context.Context) (list []controller.StoredProfile, err error) {
	err = s.do(ctx, "read what was learned about workers", func() error {
		c, err := s.profiles.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "className", Value: 1}, {Key: "worker", Value: 1}}))
		list, err = all(ctx, c, err, func(raw bson.Raw) (p controller.StoredProfile, err error) {
			p.ClassName, _ = raw.Lookup("className").StringValueOK()
			p.Worker, _ = raw.Lookup("worker").StringValueOK()
			p.UpdatedAt, _ = raw.Lookup("updatedAt").AsInt64OK()
			p.Doc, err = decodeRecord[json.RawMessage](raw)
			return p, err
		})
		return err
	})
	return list, err
}

// PruneProfiles removes those that nothing was added to since the time (ms).
func (s *Store) PruneProfiles(ctx context.Context, before int64) error {
	return s.do(ctx, "remove what was learned long ago", func() error {
		_, err := s.profiles.DeleteMany(ctx, bson.D{{Key: "updatedAt", Value: bson.D{{Key: "$lt", Value: before}}}})
		return err
	})
}
