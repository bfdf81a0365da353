package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// PutOutcome inserts by key, all with one question to the server. A repeated key changes nothing, but for an attempt or artifact that
// was still open.
func (s *Store) PutOutcome(ctx context.Context, list ...skalds.Outcome) error {
	list = newestOf(list)
	puts := make([]driver.WriteModel, len(list))
	for i, o := range list {
		var err error
		if puts[i], err = putOutcome(o); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	return s.write(ctx, "keep outcomes of task "+list[0].TaskID, func(ctx context.Context) error {
		again, err := s.putAll(ctx, puts)
		if err == nil && len(again) > 0 { // two may have inserted it at once: then it can be changed now
			_, err = s.putAll(ctx, again)
		}
		return err
	})
}

// putAll writes in any order, and returns what met a duplicate.
func (s *Store) putAll(ctx context.Context, puts []driver.WriteModel) (known []driver.WriteModel, err error) {
	_, err = s.outcomes.BulkWrite(ctx, puts, options.BulkWrite().SetOrdered(false))
	var several driver.BulkWriteException
	if !errors.As(err, &several) || several.WriteConcernError != nil {
		return nil, err
	}
	for _, e := range several.WriteErrors {
		if !driver.IsDuplicateKeyError(e) {
			return nil, err
		}
		known = append(known, puts[e.Index])
	}
	return known, nil
}

// newestOf leaves one outcome of each key, as they would replace each other one by one.
func newestOf(list []skalds.Outcome) []skalds.Outcome {
	at := make(map[skalds.OutcomeKey]int, len(list))
	out := make([]skalds.Outcome, 0, len(list))
	for _, o := range list {
		i, known := at[o.OutcomeKey]
		switch {
		case !known:
			at[o.OutcomeKey] = len(out)
			out = append(out, o)
		case o.Exit != nil && out[i].Exit != nil && out[i].Exit.EndedAt == 0,
			o.Artifact != nil && out[i].Artifact != nil && (out[i].Artifact.EndedAt == 0 || o.Artifact.EndedAt != 0):
			out[i] = o
		}
	}
	return out
}

// putOutcome writes an outcome over one that has its key and may be changed, or else inserts it. Where one has its key that may not be
// changed, the server tells of a duplicate.
func putOutcome(o skalds.Outcome) (driver.WriteModel, error) {
	value, at, ended, err := controller.OutcomeContent(o)
	if err != nil {
		return nil, err
	}
	changeable := bson.D{
		{Key: "taskId", Value: o.TaskID},
		{Key: "kind", Value: o.Kind},
		{Key: "epoch", Value: o.Epoch},
		{Key: "attempt", Value: o.Attempt},
		{Key: "name", Value: o.Name},
	}
	if o.Kind != skalds.OutcomeArtifact || ended == 0 {
		changeable = append(changeable, bson.E{Key: "ended", Value: 0}) // a result or a stage never has that
	}
	said, err := with(bson.D{{Key: "at", Value: at}, {Key: "ended", Value: ended}}, value)
	if err != nil {
		return nil, fmt.Errorf("write an outcome of task %s: %w", o.TaskID, err)
	}
	update := bson.D{{Key: "$set", Value: said}}
	if field(said, exactKey) == nil {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: exactKey, Value: ""}}})
	}
	return driver.NewUpdateOneModel().SetFilter(changeable).SetUpdate(update).SetUpsert(true), nil
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
