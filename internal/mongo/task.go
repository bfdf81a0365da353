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

func byID(id string) bson.D { return bson.D{{Key: "id", Value: id}} }

// Create inserts t with Revision 1. It returns the earlier task and false where t's idempotency key is known.
func (s *Store) Create(ctx context.Context, t *skalds.Task) (*skalds.Task, bool, error) {
	stored := t.Clone()
	stored.Revision = 1
	doc, err := encodeTask(stored)
	if err != nil {
		return nil, false, err
	}
	mark := bson.NewObjectID()
	doc = append(bson.D{{Key: "_id", Value: mark}}, doc...)
	var earlier bson.D
	err = s.write(ctx, "create task "+t.ID, func(ctx context.Context) (err error) {
		if earlier, err = s.underKey(ctx, t.IdempotencyKey); err != nil || earlier != nil {
			return err
		}
		_, err = s.tasks.InsertOne(ctx, doc)
		if !driver.IsDuplicateKeyError(err) {
			return err
		}
		if earlier, err = s.underKey(ctx, t.IdempotencyKey); err != nil {
			return err
		}
		if earlier == nil {
			if earlier, err = findOne(ctx, s.tasks, byID(t.ID)); err != nil {
				return err
			}
		}
		switch {
		case field(earlier, "_id") == mark: // ours: the driver has sent it twice, because the first answer was lost
			earlier = nil
		case t.IdempotencyKey == "" || field(earlier, "idempotencyKey") != t.IdempotencyKey:
			return skalds.Errorf(skalds.CodeConflict, "there is a task %q already", t.ID)
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	if earlier == nil {
		t.Revision = 1
		return stored, true, nil
	}
	stored, err = s.decodeTask(earlier)
	return stored, false, err
}

// underKey finds the task of an idempotency key; nil where there is none.
func (s *Store) underKey(ctx context.Context, key string) (bson.D, error) {
	if key == "" {
		return nil, nil
	}
	return findOne(ctx, s.tasks, bson.D{{Key: "idempotencyKey", Value: key}})
}

// findOne finds a document; nil where there is none.
func findOne(ctx context.Context, c *driver.Collection, filter bson.D) (doc bson.D, err error) {
	err = c.FindOne(ctx, filter).Decode(&doc)
	if errors.Is(err, driver.ErrNoDocuments) {
		return nil, nil
	}
	return doc, err
}

// Save stores t if its revision is the stored one, and raises it.
func (s *Store) Save(ctx context.Context, t *skalds.Task) error {
	next := *t
	next.Revision++
	doc, err := encodeTask(&next)
	if err != nil {
		return err
	}
	var revision any = t.Revision
	if t.Revision == 0 { // one that others have inserted has none
		revision = bson.D{{Key: "$in", Value: bson.A{0, nil}}}
	}
	err = s.write(ctx, "save task "+t.ID, func(ctx context.Context) error {
		result, err := s.tasks.UpdateOne(ctx, append(byID(t.ID), bson.E{Key: "revision", Value: revision}), change(doc))
		if err != nil || result.MatchedCount == 1 {
			return err
		}
		var stored struct {
			Revision int64 `bson:"revision"`
		}
		err = s.tasks.FindOne(ctx, byID(t.ID), options.FindOne().SetProjection(bson.D{{Key: "revision", Value: 1}})).Decode(&stored)
		switch {
		case errors.Is(err, driver.ErrNoDocuments):
			return noTask(t.ID)
		case err != nil:
			return err
		default:
			return fmt.Errorf("save task %s: %w (from %d to %d)", t.ID, skalds.ErrRevision, t.Revision, stored.Revision)
		}
	})
	if err == nil {
		t.Revision = next.Revision
	}
	return err
}

// Task reads one task.
func (s *Store) Task(ctx context.Context, id string) (*skalds.Task, error) {
	var doc bson.D
	err := s.read(ctx, "read task "+id, func(ctx context.Context) (err error) {
		doc, err = findOne(ctx, s.tasks, byID(id))
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case doc == nil:
		return nil, noTask(id)
	}
	return s.decodeTask(doc)
}

func noTask(id string) error { return skalds.Errorf(skalds.CodeNotFound, "there is no task %q", id) }
