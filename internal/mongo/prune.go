package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
)

// pruneChunk bounds how many tasks are removed at once.
const pruneChunk = 100

// Prune removes final tasks that ended before the time (ms) and, where keep is positive, the oldest final ones beyond keep,
// with their outcomes, audit entries and usage. Records whose task has been gone for as long go too.
func (s *Store) Prune(ctx context.Context, before int64, keep int) ([]string, error) {
	removed := []string{}
	err := s.do(ctx, "remove ended tasks", func() error {
		if err := s.adoptEnded(ctx); err != nil {
			return err
		}
		for {
			ids, err := s.ended(ctx, before, keep)
			if err != nil || len(ids) == 0 {
				return err
			}
			for _, id := range ids {
				r, err := s.tasks.DeleteOne(ctx, bson.D{{Key: fieldID, Value: id}, {Key: fieldEnded, Value: bson.D{{Key: "$gt", Value: 0}}}})
				if err != nil {
					return err
				}
				if r.DeletedCount == 0 {
					continue // retried in between
				}
				removed = append(removed, id)
				if err := s.forget(ctx, id); err != nil {
					return err
				}
			}
		}
	})
	if err != nil {
		return removed, err
	}
	return removed, s.do(ctx, "remove old records", func() error {
		for _, c := range []*mongo.Collection{s.audits, s.outcomes} {
			if err := s.pruneRecords(ctx, c, before); err != nil {
				return err
			}
		}
		return nil
	})
}

// adoptEnded lets retention count for tasks that programs of the original have ended.
func (s *Store) adoptEnded(ctx context.Context) error {
	finals := bson.A{}
	for _, st := range skalds.States() {
		if st.Final() {
			finals = append(finals, string(st))
		}
	}
	filter := bson.D{{Key: fieldState, Value: bson.D{{Key: "$in", Value: finals}}}, {Key: fieldEnded, Value: nil}}
	c, err := s.tasks.Find(ctx, filter, options.Find().SetProjection(bson.D{{Key: fieldID, Value: 1}, {Key: fieldUpdated, Value: 1}}))
	list, err := all(ctx, c, err, func(raw bson.Raw) (bson.Raw, error) { return append(bson.Raw{}, raw...), nil })
	if err != nil {
		return err
	}
	for _, raw := range list {
		at, _ := raw.Lookup(fieldUpdated).AsInt64OK()
		one := bson.D{{Key: "_id", Value: raw.Lookup("_id")}, {Key: fieldEnded, Value: nil}}
		if _, err := s.tasks.UpdateOne(ctx, one, bson.D{{Key: "$set", Value: bson.D{{Key: fieldEnded, Value: max(at, 1)}}}}); err != nil {
			return err
		}
	}
	return nil
}

// ended lists tasks to be removed, a chunk of them.
func (s *Store) ended(ctx context.Context, before int64, keep int) ([]string, error) {
	list := func(filter bson.D, limit int64) ([]string, error) {
		c, err := s.tasks.Find(ctx, filter, options.Find().SetSort(bson.D{{Key: fieldEnded, Value: 1}, {Key: fieldID, Value: 1}}).SetLimit(limit).SetProjection(bson.D{{Key: fieldID, Value: 1}}))
		return all(ctx, c, err, func(raw bson.Raw) (string, error) { return raw.Lookup(fieldID).StringValue(), nil })
	}
	ids, err := list(bson.D{{Key: fieldEnded, Value: bson.D{{Key: "$gt", Value: 0}, {Key: "$lt", Value: before}}}}, pruneChunk)
	if err != nil || len(ids) > 0 || keep <= 0 {
		return ids, err
	}
	ended := bson.D{{Key: fieldEnded, Value: bson.D{{Key: "$gt", Value: 0}}}}
	n, err := s.tasks.CountDocuments(ctx, ended)
	if err != nil || n <= int64(keep) {
		return nil, err
	}
	return list(ended, min(pruneChunk, n-int64(keep)))
}

// forget removes what belongs to a task that is gone.
func (s *Store) forget(ctx context.Context, id string) error {
	for _, c := range []*mongo.Collection{s.outcomes, s.usage, s.audits} {
		if _, err := c.DeleteMany(ctx, bson.D{{Key: "taskId", Value: id}}); err != nil {
			return err
		}
	}
	return nil
}

// pruneRecords removes records of before the time whose task is not there.
func (s *Store) pruneRecords(ctx context.Context, c *mongo.Collection, before int64) error {
	old := bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: before}}}}
	cursor, err := c.Aggregate(ctx, []bson.D{stage("$match", old), stage("$group", bson.D{{Key: "_id", Value: "$taskId"}})})
	tasks, err := all(ctx, cursor, err, func(raw bson.Raw) (string, error) { return raw.Lookup("_id").StringValue(), nil })
	for len(tasks) > 0 && err == nil {
		n := min(len(tasks), pruneChunk)
		err = s.pruneRecordsOf(ctx, c, before, tasks[:n])
		tasks = tasks[n:]
	}
	return err
}

func (s *Store) pruneRecordsOf(ctx context.Context, c *mongo.Collection, before int64, tasks []string) error {
	cursor, err := s.tasks.Find(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: tasks}}}}, options.Find().SetProjection(bson.D{{Key: fieldID, Value: 1}}))
	there := map[string]bool{}
	if _, err = all(ctx, cursor, err, func(raw bson.Raw) (string, error) {
		there[raw.Lookup(fieldID).StringValue()] = true
		return "", nil
	}); err != nil {
		return err
	}
	gone := bson.A{}
	for _, id := range tasks {
		if !there[id] {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	_, err = c.DeleteMany(ctx, bson.D{{Key: "taskId", Value: bson.D{{Key: "$in", Value: gone}}}, {Key: "at", Value: bson.D{{Key: "$lt", Value: before}}}})
	return err
}
