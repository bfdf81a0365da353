package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds/controller"
)

var _ controller.RestoreStore = (*Store)(nil)

// Clear removes everything but the generation and the leader's lease. Tasks go last: as long as there are any, the store is not empty.
func (s *Store) Clear(ctx context.Context) error {
	for _, c := range []*driver.Collection{s.outcomes, s.audits, s.usage, s.profiles, s.workers, s.offsets, s.nodes, s.tasks} {
		if err := s.write(ctx, "empty the store", func(ctx context.Context) error {
			_, err := c.DeleteMany(ctx, bson.D{})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// RaiseGeneration makes the generation higher than it was and higher than above, in two steps of which each may be done again.
func (s *Store) RaiseGeneration(ctx context.Context, above int64) (int64, error) {
	var m storeMeta
	err := s.write(ctx, "raise the store's generation", func(ctx context.Context) error {
		if _, err := s.meta.UpdateOne(ctx, storeKey, bson.D{{Key: "$max", Value: bson.D{{Key: "generation", Value: above}}}}); err != nil {
			return err
		}
		after := options.FindOneAndUpdate().SetReturnDocument(options.After)
		return s.meta.FindOneAndUpdate(ctx, storeKey, bson.D{{Key: "$inc", Value: bson.D{{Key: "generation", Value: int64(1)}}}}, after).Decode(&m)
	})
	return m.Generation, err
}
