package mongo

import (
	"context"
	"encoding/json"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds/controller"
)

// SaveProfiles inserts or replaces.
func (s *Store) SaveProfiles(ctx context.Context, profiles []controller.StoredProfile) error {
	var models []driver.WriteModel
	for _, p := range profiles {
		key := bson.D{{Key: "className", Value: p.ClassName}, {Key: "worker", Value: p.Worker}}
		doc, err := with(append(key[:2:2], bson.E{Key: "updatedAt", Value: p.UpdatedAt}), p.Doc)
		if err != nil {
			return fmt.Errorf("write what was learned about %s: %w", p.ClassName, err)
		}
		models = append(models, driver.NewReplaceOneModel().SetFilter(key).SetReplacement(doc).SetUpsert(true))
	}
	return s.writeAll(ctx, "keep what was learned about workers", s.profiles, models)
}

// writeChunk bounds how much is sent at once.
const writeChunk = 1000

// writeAll runs upserts in chunks, and those again that met another's insert of the same document. Running one twice must not matter.
func (s *Store) writeAll(ctx context.Context, what string, c *driver.Collection, models []driver.WriteModel) error {
	for len(models) > 0 {
		chunk := models[:min(len(models), writeChunk)]
		models = models[len(chunk):]
		err := s.write(ctx, what, func(ctx context.Context) error {
			_, err := c.BulkWrite(ctx, chunk, options.BulkWrite().SetOrdered(false))
			if driver.IsDuplicateKeyError(err) {
				_, err = c.BulkWrite(ctx, chunk, options.BulkWrite().SetOrdered(false))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Profiles lists all of them.
func (s *Store) Profiles(ctx context.Context) ([]controller.StoredProfile, error) {
	docs, err := s.find(ctx, "read what was learned about workers", s.profiles, bson.D{}, options.Find().SetSort(keys("className", "worker")))
	raws, err := contents[json.RawMessage](docs, err)
	profiles := make([]controller.StoredProfile, len(raws))
	for i, doc := range docs[:len(raws)] {
		p := &profiles[i]
		p.ClassName, _ = field(doc, "className").(string)
		p.Worker, _ = field(doc, "worker").(string)
		p.UpdatedAt, p.Doc = integer(field(doc, "updatedAt")), raws[i]
	}
	return profiles, err
}

// PruneProfiles removes those that nothing was added to since the time (ms).
func (s *Store) PruneProfiles(ctx context.Context, before int64) error {
	return s.write(ctx, "remove what was learned long ago", func(ctx context.Context) error {
		_, err := s.profiles.DeleteMany(ctx, bson.D{{Key: "updatedAt", Value: bson.D{{Key: "$lt", Value: before}}}})
		return err
	})
}
