package mongo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
)

// Names in the documents of tasks: those of the root package's JSON, and what only this package keeps, for searches.
const (
	fieldID          = "id"
	fieldState       = "lifecycleStatus"
	fieldClass       = "className"
	fieldExecutor    = "executor"
	fieldMode        = "mode"
	fieldPriority    = "priority"
	fieldCreated     = "createDateTime"
	fieldUpdated     = "updateDateTime"
	fieldRevision    = "revision"
	fieldQuarantined = "quarantined"
	fieldIdempotency = "idempotencyKey"

	fieldLabelPairs = "labelPairs" // "key=value"
	fieldUnacked    = "unacked"    // true, or not there
	fieldEnded      = "endedSort"  // ms since epoch, of ended tasks: when retention begins to count
	fieldExact      = "exactText"  // by field: JSON that the database's types do not give back exactly
)

// rawFields hold JSON of users, which is given back as it came.
var rawFields = []string{"attachments", "result", "stages"}

// taskFields are all names that a task's document may have of ours: what a task does not have any more is taken out. What
// others have added stays.
var taskFields = append(jsonNames(reflect.TypeFor[skalds.Task]()), fieldLabelPairs, fieldUnacked, fieldEnded, fieldExact)

func jsonNames(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		if f.Anonymous {
			names = append(names, jsonNames(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// encodeTask writes a task as a document.
func encodeTask(t *skalds.Task) (bson.D, error) {
	raw := map[string][]byte{"attachments": t.Attachments, "result": t.Result}
	c := *t
	c.Attachments, c.Result, c.Stages = nil, nil, nil
	text, err := json.Marshal(&c)
	if err != nil {
		return nil, fmt.Errorf("write task %s: %w", t.ID, err)
	}
	doc, err := object(text)
	if err != nil {
		return nil, fmt.Errorf("write task %s: %w", t.ID, err)
	}
	if len(t.Stages) > 0 {
		if raw["stages"], err = json.Marshal(t.Stages); err != nil {
			return nil, fmt.Errorf("write task %s: %w", t.ID, err)
		}
	}
	exact := bson.D{}
	for _, name := range rawFields {
		if len(raw[name]) == 0 {
			continue
		}
		k := keep(raw[name])
		doc = append(doc, bson.E{Key: name, Value: k.value})
		if k.text != "" {
			exact = append(exact, bson.E{Key: name, Value: k.text})
		}
	}
	if len(exact) > 0 {
		doc = append(doc, bson.E{Key: fieldExact, Value: exact})
	}
	if len(t.Labels) > 0 {
		pairs := bson.A{}
		for k, v := range t.Labels {
			pairs = append(pairs, k+"="+v)
		}
		doc = append(doc, bson.E{Key: fieldLabelPairs, Value: pairs})
	}
	if t.Executor != "" && t.AckedRevision < t.DesiredRevision {
		doc = append(doc, bson.E{Key: fieldUnacked, Value: true})
	}
	if t.LifecycleStatus.Final() {
		ended := t.EndedAt
		if ended == 0 {
			ended = max(t.UpdateDateTime, 1)
		}
		doc = append(doc, bson.E{Key: fieldEnded, Value: ended})
	}
	return doc, nil
}

// decodeTask reads a document, also one that a program of the original has written: what it does not say has its zero value.
func decodeTask(raw bson.Raw) (*skalds.Task, error) {
	var doc bson.D
	if err := bson.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("read a stored task: %w", err)
	}
	users := map[string]kept{}
	rest := doc[:0]
	var exact bson.D
	for _, e := range doc {
		switch {
		case e.Value == nil, e.Key == "_id", e.Key == fieldLabelPairs, e.Key == fieldUnacked, e.Key == fieldEnded:
		case e.Key == fieldExact:
			exact, _ = e.Value.(bson.D)
		case e.Key == "attachments" || e.Key == "result" || e.Key == "stages":
			users[e.Key] = kept{value: e.Value}
		default:
			rest = append(rest, e)
		}
	}
	for _, e := range exact {
		if text, ok := e.Value.(string); ok {
			users[e.Key] = kept{value: users[e.Key].value, text: text}
		}
	}
	text, err := toJSON(rest)
	if err != nil {
		return nil, fmt.Errorf("read a stored task: %w", err)
	}
	t := &skalds.Task{}
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("read a stored task: %w", err)
	}
	for name, k := range users {
		text, err := k.restore()
		if err != nil {
			return nil, fmt.Errorf("read task %s: %s: %w", t.ID, name, err)
		}
		switch name {
		case "attachments":
			t.Attachments = text
		case "result":
			t.Result = text
		case "stages":
			if err := json.Unmarshal(text, &t.Stages); err != nil {
				return nil, fmt.Errorf("read task %s: stages: %w", t.ID, err)
			}
		}
	}
	return t, nil
}

// Create inserts t with Revision 1. It returns the earlier task and false where t's idempotency key is known.
func (s *Store) Create(ctx context.Context, t *skalds.Task) (stored *skalds.Task, created bool, err error) {
	next := t.Clone()
	next.Revision = 1
	doc, err := encodeTask(next)
	if err != nil {
		return nil, false, err
	}
	err = s.do(ctx, "create task "+t.ID, func() error {
		if stored, err = s.byKey(ctx, t.IdempotencyKey); err != nil || stored != nil {
			return err
		}
		_, err := s.tasks.InsertOne(ctx, doc)
		if !mongo.IsDuplicateKeyError(err) {
			return err
		}
		if stored, err = s.byKey(ctx, t.IdempotencyKey); err != nil || stored != nil {
			return err // another with that key was faster
		}
		return skalds.Errorf(skalds.CodeConflict, "there is a task %q already", t.ID)
	})
	if err != nil || stored != nil {
		return stored, false, err
	}
	t.Revision = 1
	return next, true, nil
}

// byKey finds the task with an idempotency key; nil where there is none.
func (s *Store) byKey(ctx context.Context, key string) (*skalds.Task, error) {
	if key == "" {
		return nil, nil
	}
	raw, err := s.tasks.FindOne(ctx, bson.D{{Key: fieldIdempotency, Value: key}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeTask(raw)
}

// revision matches a stored revision; 0 also a document that has none.
func revision(r int64) any {
	if r == 0 {
		return bson.D{{Key: "$in", Value: bson.A{int64(0), nil}}}
	}
	return r
}

// Save stores t if its revision is the stored one, and raises it.
func (s *Store) Save(ctx context.Context, t *skalds.Task) error {
	next := *t
	next.Revision++
	doc, err := encodeTask(&next)
	if err != nil {
		return err
	}
	err = s.do(ctx, "save task "+t.ID, func() error {
		r, err := s.tasks.UpdateOne(ctx, bson.D{{Key: fieldID, Value: t.ID}, {Key: fieldRevision, Value: revision(t.Revision)}}, change(doc))
		if err != nil || r.MatchedCount == 1 {
			return err
		}
		raw, err := s.tasks.FindOne(ctx, bson.D{{Key: fieldID, Value: t.ID}}, options.FindOne().SetProjection(bson.D{{Key: fieldRevision, Value: 1}})).Raw()
		switch {
		case errors.Is(err, mongo.ErrNoDocuments):
			return noTask(t.ID)
		case err != nil:
			return err
		}
		stored, _ := raw.Lookup(fieldRevision).AsInt64OK()
		return fmt.Errorf("save task %s: %w (from %d to %d)", t.ID, skalds.ErrRevision, t.Revision, stored)
	})
	if err == nil {
		t.Revision = next.Revision
	}
	return err
}

// change sets what a document says and takes out what it does not say any more.
func change(doc bson.D) bson.D {
	has := make(map[string]bool, len(doc))
	for _, e := range doc {
		has[e.Key] = true
	}
	gone := bson.D{}
	for _, name := range taskFields {
		if !has[name] {
			gone = append(gone, bson.E{Key: name, Value: ""})
		}
	}
	update := bson.D{{Key: "$set", Value: doc}}
	if len(gone) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: gone})
	}
	return update
}

// Task reads one task.
func (s *Store) Task(ctx context.Context, id string) (t *skalds.Task, err error) {
	err = s.do(ctx, "read task "+id, func() error {
		raw, err := s.tasks.FindOne(ctx, bson.D{{Key: fieldID, Value: id}}).Raw()
		if errors.Is(err, mongo.ErrNoDocuments) {
			return noTask(id)
		}
		if err == nil {
			t, err = decodeTask(raw)
		}
		return err
	})
	return t, err
}

func noTask(id string) error { return skalds.Errorf(skalds.CodeNotFound, "there is no task %q", id) }
