package mongo

import (
	"fmt"
	"reflect"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skalds-go/skalds"
)

// A task's document has the fields of skalds.Task, those of the original first among equals: it finds all of its own, with null where
// it would have null. Beside them stand fields made from them for searches. Fields that nobody here knows are left alone.

var (
	taskFields = names(reflect.TypeFor[skalds.Task]())
	freeFields = map[string]bool{"attachments": true, "result": true, "stages": true}
	// emptyFields are what the original writes where a task says nothing.
	emptyFields = bson.D{
		{Key: "name"},
		{Key: "description"},
		{Key: "executor"},
		{Key: "dependencies"},
		{Key: "attachments"},
		{Key: "source", Value: ""}, // its programs refuse a task that has none
	}
	// madeFields are those for searches: what this package writes and reads back into nothing.
	madeFields = []string{exactKey, "labelPairs", "unacked"}
)

// encodeTask is a task's document but for _id.
func encodeTask(t *skalds.Task) (bson.D, error) {
	doc, err := fieldsOf(t, freeFields)
	if err != nil {
		return nil, fmt.Errorf("write task %s: %w", t.ID, err)
	}
	has := map[string]bool{}
	for _, e := range doc {
		has[e.Key] = true
	}
	for _, e := range emptyFields {
		if !has[e.Key] {
			doc = append(doc, e)
		}
	}
	if len(t.Labels) > 0 {
		pairs := bson.A{}
		for k, v := range t.Labels {
			pairs = append(pairs, labelPair(k, v))
		}
		doc = append(doc, bson.E{Key: "labelPairs", Value: pairs})
	}
	if t.Executor != "" && t.AckedRevision < t.DesiredRevision {
		doc = append(doc, bson.E{Key: "unacked", Value: true})
	}
	return doc, nil
}

// labelPair is a label as it is searched: a query cannot name a field whose name has a dot in it.
func labelPair(key, value string) string { return key + "=" + value }

// change is the update that makes a stored document that of doc.
func change(doc bson.D) bson.D {
	set, unset := bson.D{}, bson.D{}
	has := map[string]bool{"id": true}
	for _, e := range doc {
		if e.Key != "id" {
			has[e.Key] = true
			set = append(set, e)
		}
	}
	for name := range taskFields {
		if !has[name] {
			unset = append(unset, bson.E{Key: name, Value: ""})
		}
	}
	for _, name := range madeFields {
		if !has[name] {
			unset = append(unset, bson.E{Key: name, Value: ""})
		}
	}
	return bson.D{{Key: "$set", Value: set}, {Key: "$unset", Value: unset}}
}

// decodeTask reads a task's document, and fills in what one that others have inserted does not say.
func (s *Store) decodeTask(doc bson.D) (*skalds.Task, error) {
	t := &skalds.Task{}
	if err := into(t, doc, taskFields, freeFields); err != nil {
		return nil, skalds.Errorf(skalds.CodeInternal, "the document of task %v in MongoDB cannot be read, correct or remove it (database %q, collection tasks, _id %v): %v",
			field(doc, "id"), s.cfg.Database, field(doc, "_id"), err)
	}
	if field(doc, "revision") != nil {
		return t, nil
	}
	if field(doc, "isPersistent") == nil {
		t.IsPersistent = true // the original's default
	}
	t.Spec = t.WithDefaults(s.cfg.WorkerRetry)
	if t.LifecycleStatus == "" {
		t.LifecycleStatus = skalds.Created
	}
	if t.Desired == "" {
		t.Desired = skalds.DesiredRunning
	}
	switch {
	case t.LifecycleStatus == skalds.Created && t.QueuedAt == 0:
		t.QueuedAt = t.CreateDateTime
	case t.LifecycleStatus.Final() && t.EndedAt == 0:
		t.EndedAt = t.UpdateDateTime
	}
	return t, nil
}

// unread remembers which documents could not be read, so that each is said once.
type unread struct {
	mu   sync.Mutex
	seen map[any]bool
}

// first reports whether id is new. So that others' mistakes fill no memory, it forgets all of them now and then.
func (u *unread) first(id any) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := fmt.Sprint(id)
	if u.seen[key] {
		return false
	}
	if u.seen == nil || len(u.seen) == 1000 {
		u.seen = map[any]bool{}
	}
	u.seen[key] = true
	return true
}
