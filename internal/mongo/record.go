package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// PutOutcome inserts by key. A repeated key changes nothing, but for an attempt or artifact that was still open.
func (s *Store) PutOutcome(ctx context.Context, o skalds.Outcome) error {
	var value any
	var at, ended int64
	switch {
	case o.Kind == skalds.OutcomeExit && o.Exit != nil:
		value, at, ended = o.Exit, o.Exit.StartedAt, o.Exit.EndedAt
	case o.Kind == skalds.OutcomeArtifact && o.Artifact != nil:
		value, at, ended = o.Artifact, o.Artifact.StartedAt, o.Artifact.EndedAt
	case o.Kind == skalds.OutcomeResult || o.Kind == skalds.OutcomeStage:
		value, ended = o.Value, 1
	default:
		return skalds.Errorf(skalds.CodeInvalid, "keep an outcome of task %q: its kind %q and its content do not fit", o.TaskID, o.Kind)
	}
	key := bson.D{
		{Key: "taskId", Value: o.TaskID},
		{Key: "kind", Value: o.Kind},
		{Key: "epoch", Value: o.Epoch},
		{Key: "attempt", Value: o.Attempt},
		{Key: "name", Value: o.Name},
	}
	said, err := with(bson.D{{Key: "at", Value: at}, {Key: "ended", Value: ended}}, value)
	if err != nil {
		return fmt.Errorf("write an outcome of task %s: %w", o.TaskID, err)
	}
	return s.write(ctx, "keep an outcome of task "+o.TaskID, func(ctx context.Context) error {
		_, err := s.outcomes.InsertOne(ctx, append(key[:len(key):len(key)], said...))
		if !driver.IsDuplicateKeyError(err) {
			return err
		}
		stored := key
		switch {
		case o.Kind == skalds.OutcomeArtifact && ended != 0:
		case o.Kind == skalds.OutcomeArtifact, o.Kind == skalds.OutcomeExit:
			stored = append(stored, bson.E{Key: "ended", Value: 0})
		default:
			return nil
		}
		update := bson.D{{Key: "$set", Value: said}}
		if field(said, exactKey) == nil {
			update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: exactKey, Value: ""}}})
		}
		_, err = s.outcomes.UpdateOne(ctx, stored, update)
		return err
	})
}

// of asks for the outcomes of a task of one kind.
func of(taskID string, kind skalds.OutcomeKind) bson.D {
	return bson.D{{Key: "taskId", Value: taskID}, {Key: "kind", Value: kind}}
}

// Attempts lists a task's attempts, oldest first.
func (s *Store) Attempts(ctx context.Context, taskID string) ([]skalds.Attempt, error) {
	return contents[skalds.Attempt](s.find(ctx, "list the attempts of task "+taskID, s.outcomes, of(taskID, skalds.OutcomeExit),
		options.Find().SetSort(keys("epoch", "attempt"))))
}

// Artifacts lists the newest artifacts of a task, newest first, each path of a node as the last attempt that told of it said.
func (s *Store) Artifacts(ctx context.Context, taskID string, limit int) ([]skalds.Artifact, error) {
	type place struct {
		name string
		node any
	}
	var last []bson.D
	what, where := "list the artifacts of task "+taskID, of(taskID, skalds.OutcomeArtifact)
	err := s.read(ctx, what, func(ctx context.Context) error {
		// Two steps, so that of a camera with 100,000 recordings only the few that are asked for are read.
		all, err := findAll(ctx, s.outcomes, where, options.Find().SetSort(keys("-at", "-epoch", "-attempt", "name")).
			SetProjection(bson.D{{Key: "epoch", Value: 1}, {Key: "attempt", Value: 1}, {Key: "name", Value: 1}, {Key: "doc.node", Value: 1}}))
		if err != nil {
			return err
		}
		newest := map[place]bson.D{}
		at := func(doc bson.D) place {
			name, _ := field(doc, "name").(string)
			inner, _ := field(doc, "doc").(bson.D)
			return place{name, field(inner, "node")}
		}
		for _, doc := range all {
			if have := newest[at(doc)]; have == nil || later(doc, have) {
				newest[at(doc)] = doc
			}
		}
		ids, order := bson.A{}, map[any]int{}
		for _, doc := range all {
			if id := field(doc, "_id"); field(newest[at(doc)], "_id") == id && len(ids) < orDefault(limit) {
				order[id] = len(ids)
				ids = append(ids, id)
			}
		}
		docs, err := findAll(ctx, s.outcomes, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
		last = make([]bson.D, len(ids))
		for _, doc := range docs {
			last[order[field(doc, "_id")]] = doc
		}
		return err
	})
	kept := last[:0]
	for _, doc := range last {
		if doc != nil { // else it was removed meanwhile
			kept = append(kept, doc)
		}
	}
	return contents[skalds.Artifact](kept, err)
}

// later reports whether what a says is of a later attempt than what b says.
func later(a, b bson.D) bool {
	for _, name := range []string{"epoch", "attempt"} {
		if x, y := integer(field(a, name)), integer(field(b, name)); x != y {
			return x > y
		}
	}
	return false
}

// integer is a whole number of whichever width.
func integer(v any) int64 {
	switch n := v.(type) {
	case int32:
		return int64(n)
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

// Audit keeps an entry.
func (s *Store) Audit(ctx context.Context, e controller.AuditEntry) error {
	doc, err := with(bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "at", Value: e.At}, {Key: "taskId", Value: e.TaskID}}, e)
	if err != nil {
		return fmt.Errorf("write an audit entry: %w", err)
	}
	return s.write(ctx, "keep an audit entry", func(ctx context.Context) error {
		_, err := s.audits.InsertOne(ctx, doc)
		if driver.IsDuplicateKeyError(err) {
			return nil // ours: the driver has sent it twice, because the first answer was lost
		}
		return err
	})
}

// Audits lists the newest entries of a task ("" = of everything), newest first.
func (s *Store) Audits(ctx context.Context, taskID string, limit int) ([]controller.AuditEntry, error) {
	where := bson.D{}
	if taskID != "" {
		where = bson.D{{Key: "taskId", Value: taskID}}
	}
	return contents[controller.AuditEntry](s.find(ctx, "list audit entries", s.audits, where,
		options.Find().SetSort(keys("-at", "-_id")).SetLimit(int64(orDefault(limit)))))
}

// find reads documents within the store's time-out.
func (s *Store) find(ctx context.Context, what string, c *driver.Collection, where bson.D, opts *options.FindOptionsBuilder) (docs []bson.D, err error) {
	err = s.read(ctx, what, func(ctx context.Context) error {
		docs, err = findAll(ctx, c, where, opts)
		return err
	})
	return docs, err
}
