package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
)

// pruneChunk bounds how many tasks are removed at once, so that each call stays far within the store's time-out.
const pruneChunk = 100

var (
	final = bson.E{Key: "lifecycleStatus", Value: in(skalds.Finished, skalds.Failed, skalds.Cancelled)}
	ended = bson.E{Key: "endedAt", Value: bson.D{{Key: "$gt", Value: 0}}}
)

// Prune removes final tasks that ended before the time (ms) and, where keep is positive, the oldest final ones beyond keep,
// with their outcomes, audit entries and usage. Records whose task has been gone for as long go too.
func (s *Store) Prune(ctx context.Context, before int64, keep int) ([]string, error) {
	removed := []string{}
	if err := s.dateEnds(ctx); err != nil {
		return removed, err
	}
	for {
		ids, err := s.oldest(ctx, before, keep)
		if err != nil {
			return removed, err
		}
		if len(ids) == 0 {
			break
		}
		gone, err := s.remove(ctx, ids)
		removed = append(removed, gone...)
		if err != nil {
			return removed, err
		}
	}
	for _, c := range []*driver.Collection{s.audits, s.outcomes} {
		if err := s.removeOrphans(ctx, c, before); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// dateEnds gives final tasks that say no end, as those of the original's programs do, that of their last change.
func (s *Store) dateEnds(ctx context.Context) error {
	for {
		n := 0
		err := s.write(ctx, "date ended tasks", func(ctx context.Context) error {
			undated := bson.D{{Key: "endedAt", Value: bson.D{{Key: "$in", Value: bson.A{nil, 0}}}}, final}
			docs, err := findAll(ctx, s.tasks, undated, options.Find().SetLimit(pruneChunk).
				SetProjection(bson.D{{Key: "updateDateTime", Value: 1}}))
			if err != nil || len(docs) == 0 {
				return err
			}
			models := make([]driver.WriteModel, len(docs))
			for i, doc := range docs {
				at := max(integer(field(doc, "updateDateTime")), 1)
				models[i] = driver.NewUpdateOneModel().SetFilter(append(bson.D{{Key: "_id", Value: field(doc, "_id")}}, undated...)).
					SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "endedAt", Value: at}}}})
			}
			n = len(docs)
			_, err = s.tasks.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
			return err
		})
		if err != nil || n < pruneChunk {
			return err
		}
	}
}

// oldest lists the next tasks to be removed.
func (s *Store) oldest(ctx context.Context, before int64, keep int) (ids []string, err error) {
	list := func(ctx context.Context, what bson.E, limit int) error {
		docs, err := findAll(ctx, s.tasks, bson.D{what, final}, options.Find().SetSort(keys("endedAt", "id")).SetLimit(int64(limit)).
			SetProjection(bson.D{{Key: "id", Value: 1}}))
		for _, doc := range docs {
			if id, ok := field(doc, "id").(string); ok {
				ids = append(ids, id)
			}
		}
		return err
	}
	err = s.read(ctx, "list ended tasks", func(ctx context.Context) error {
		if err := list(ctx, bson.E{Key: "endedAt", Value: bson.D{{Key: "$gt", Value: 0}, {Key: "$lt", Value: before}}}, pruneChunk); err != nil || len(ids) > 0 || keep <= 0 {
			return err
		}
		n, err := s.tasks.CountDocuments(ctx, bson.D{final})
		if beyond := int(n) - keep; err == nil && beyond > 0 {
			err = list(ctx, ended, min(beyond, pruneChunk))
		}
		return err
	})
	return ids, err
}

// remove takes tasks away that are still final, and returns which. They go before their records: a call that dies in between
// leaves records without a task, which a later Prune finds.
func (s *Store) remove(ctx context.Context, ids []string) ([]string, error) {
	these := func(name string) bson.D {
		return bson.D{{Key: name, Value: bson.D{{Key: "$in", Value: ids}}}}
	}
	err := s.write(ctx, "remove ended tasks", func(ctx context.Context) error {
		result, err := s.tasks.DeleteMany(ctx, append(these("id"), final, ended))
		if err != nil || int(result.DeletedCount) == len(ids) {
			return err
		}
		left, err := s.existing(ctx, ids) // retried in between
		ids = slices.DeleteFunc(ids, func(id string) bool { return left[id] })
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, s.write(ctx, "remove the records of ended tasks", func(ctx context.Context) error {
		for _, c := range []*driver.Collection{s.outcomes, s.usage, s.audits} {
			if _, err := c.DeleteMany(ctx, these("taskId")); err != nil {
				return err
			}
		}
		return nil
	})
}

// existing tells which of the tasks there are.
func (s *Store) existing(ctx context.Context, ids []string) (map[string]bool, error) {
	docs, err := findAll(ctx, s.tasks, bson.D{{Key: "id", Value: bson.D{{Key: "$in", Value: ids}}}},
		options.Find().SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "id", Value: 1}}))
	there := map[string]bool{}
	for _, doc := range docs {
		if id, ok := field(doc, "id").(string); ok {
			there[id] = true
		}
	}
	return there, err
}

// removeOrphans removes what is older than before (ms) and belongs to no task.
func (s *Store) removeOrphans(ctx context.Context, c *driver.Collection, before int64) error {
	old := bson.E{Key: "at", Value: bson.D{{Key: "$lt", Value: before}}}
	groups, err := s.groups(ctx, "list old records", c, bson.D{old}, "taskId")
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(groups))
	for _, g := range groups {
		if id, ok := g.Key.(string); ok {
			ids = append(ids, id)
		}
	}
	for chunk := range slices.Chunk(ids, writeChunk) {
		err := s.write(ctx, "remove old records", func(ctx context.Context) error {
			there, err := s.existing(ctx, chunk)
			orphans := slices.DeleteFunc(slices.Clone(chunk), func(id string) bool { return there[id] })
			if err != nil || len(orphans) == 0 {
				return err
			}
			_, err = c.DeleteMany(ctx, bson.D{{Key: "taskId", Value: bson.D{{Key: "$in", Value: orphans}}}, old})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
