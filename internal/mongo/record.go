package mongo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// Records carry what they are as a document, for people, and as text where that is not exactly the same.

func encodeRecord(v any) (bson.D, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	k := keep(text)
	d := bson.D{{Key: "doc", Value: k.value}}
	if k.text != "" {
		d = append(d, bson.E{Key: "text", Value: k.text})
	}
	return d, nil
}

func decodeRecord[T any](raw bson.Raw) (v T, err error) {
	var r struct {
		Doc  any    `bson:"doc"`
		Text string `bson:"text"`
	}
	if err := bson.Unmarshal(raw, &r); err != nil {
		return v, fmt.Errorf("read a stored %T: %w", v, err)
	}
	text, err := kept{value: r.Doc, text: r.Text}.restore()
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		return v, fmt.Errorf("read a stored %T: %w", v, err)
	}
	return v, nil
}

// key is a text that only the same parts give.
func key(parts ...any) string {
	b, err := json.Marshal(parts)
	if err != nil {
		panic(fmt.Sprintf("a key of %d parts: %v", len(parts), err)) // strings and numbers
	}
	return string(b)
}

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
	record, err := encodeRecord(value)
	if err != nil {
		return fmt.Errorf("write an outcome of task %s: %w", o.TaskID, err)
	}
	id := key(o.TaskID, o.Kind, o.Epoch, o.Attempt, o.Name)
	record = append(bson.D{
		{Key: "taskId", Value: o.TaskID}, {Key: "kind", Value: string(o.Kind)}, {Key: "epoch", Value: o.Epoch}, {Key: "attempt", Value: o.Attempt},
		{Key: "name", Value: o.Name}, {Key: "at", Value: at}, {Key: "ended", Value: ended},
	}, record...)
	return s.do(ctx, "keep an outcome of task "+o.TaskID, func() error {
		_, err := s.outcomes.InsertOne(ctx, append(bson.D{{Key: "_id", Value: id}}, record...))
		if !mongo.IsDuplicateKeyError(err) {
			return err
		}
		open := bson.D{{Key: "_id", Value: id}}
		switch {
		case o.Kind != skalds.OutcomeExit && o.Kind != skalds.OutcomeArtifact:
			return nil
		case o.Kind == skalds.OutcomeExit || ended == 0:
			open = append(open, bson.E{Key: "ended", Value: int64(0)})
		}
		_, err = s.outcomes.ReplaceOne(ctx, open, record)
		return err
	})
}

func (s *Store) outcomesOf(ctx context.Context, taskID string, kind skalds.OutcomeKind) (*mongo.Cursor, error) {
	return s.outcomes.Find(ctx, bson.D{{Key: "taskId", Value: taskID}, {Key: "kind", Value: string(kind)}},
		options.Find().SetSort(bson.D{{Key: "epoch", Value: 1}, {Key: "attempt", Value: 1}}))
}

// Attempts lists a task's attempts, oldest first.
func (s *Store) Attempts(ctx context.Context, taskID string) (list []skalds.Attempt, err error) {
	err = s.do(ctx, "list the attempts of task "+taskID, func() error {
		c, err := s.outcomesOf(ctx, taskID, skalds.OutcomeExit)
		list, err = all(ctx, c, err, decodeRecord[skalds.Attempt])
		return err
	})
	return list, err
}

// Artifacts lists the newest artifacts of a task, newest first, each path of a node as the last attempt that told of it said.
func (s *Store) Artifacts(ctx context.Context, taskID string, limit int) ([]skalds.Artifact, error) {
	type told struct {
		artifact skalds.Artifact
		epoch    int64
		attempt  int64
		name     string
	}
	type place struct{ name, node string }
	last := map[place]told{} // in the order of epoch and attempt: the last one stays
	err := s.do(ctx, "list the artifacts of task "+taskID, func() error {
		c, err := s.outcomesOf(ctx, taskID, skalds.OutcomeArtifact)
		list, err := all(ctx, c, err, func(raw bson.Raw) (t told, err error) {
			t.artifact, err = decodeRecord[skalds.Artifact](raw)
			t.epoch, _ = raw.Lookup("epoch").AsInt64OK()
			t.attempt, _ = raw.Lookup("attempt").AsInt64OK()
			t.name, _ = raw.Lookup("name").StringValueOK()
			return t, err
		})
		for _, t := range list {
			last[place{t.name, t.artifact.Node}] = t
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	list := make([]told, 0, len(last))
	for _, t := range last {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b told) int {
		return cmp.Or(cmp.Compare(b.artifact.StartedAt, a.artifact.StartedAt), cmp.Compare(b.epoch, a.epoch), cmp.Compare(b.attempt, a.attempt), cmp.Compare(a.name, b.name))
	})
	out := []skalds.Artifact{}
	for _, t := range list[:min(int64(len(list)), orDefault(limit))] {
		out = append(out, t.artifact)
	}
	return out, nil
}

// Audit keeps an entry.
func (s *Store) Audit(ctx context.Context, e controller.AuditEntry) error {
	record, err := encodeRecord(e)
	if err != nil {
		return fmt.Errorf("write an audit entry: %w", err)
	}
	record = append(bson.D{{Key: "at", Value: e.At}, {Key: "taskId", Value: e.TaskID}}, record...)
	return s.do(ctx, "keep an audit entry", func() error {
		_, err := s.audits.InsertOne(ctx, record)
		return err
	})
}

// Audits lists the newest entries of a task ("" = of everything), newest first.
func (s *Store) Audits(ctx context.Context, taskID string, limit int) (list []controller.AuditEntry, err error) {
	filter := bson.D{}
	if taskID != "" {
		filter = bson.D{{Key: "taskId", Value: taskID}}
	}
	err = s.do(ctx, "list audit entries", func() error {
		c, err := s.audits.Find(ctx, filter, options.Find().SetSort(bson.D{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}).SetLimit(orDefault(limit)))
		list, err = all(ctx, c, err, decodeRecord[controller.AuditEntry])
		return err
	})
	return list, err
}
