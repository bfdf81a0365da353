package mongo_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// original is a document as release 0.3.8 of the original inserts it.
func original(id string) bson.D {
	return bson.D{
		{Key: "id", Value: id},
		{Key: "className", Value: "MyWorker"},
		{Key: "source", Value: "Test"},
		{Key: "name", Value: nil},
		{Key: "description", Value: nil},
		{Key: "executor", Value: nil},
		{Key: "dependencies", Value: nil},
		{Key: "mode", Value: "Passive"},
		{Key: "isPersistent", Value: true},
		{Key: "createDateTime", Value: int64(1795474382118)},
		{Key: "updateDateTime", Value: int64(1795474382119)},
		{Key: "deadlineDateTime", Value: int64(1796079182118)},
		{Key: "lifecycleStatus", Value: "Created"},
		{Key: "priority", Value: 3},
		{Key: "attachments", Value: bson.D{{Key: "rtspUrl", Value: "rtsp://x/s"}, {Key: "fixFrame", Value: 30}, {Key: "fps", Value: 30.0}, {Key: "a", Value: nil}}},
	}
}

func value(doc bson.D, name string) any {
	for _, e := range doc {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

func TestDocumentsOfTheOriginalAreAdopted(t *testing.T) {
	s, db := fresh(t)
	ctx := t.Context()
	strange := append(original("strange"), bson.E{Key: "ClassName", Value: "not ours"}, bson.E{Key: "note", Value: bson.D{{Key: "by", Value: "hand"}}})
	if _, err := db.Collection("tasks").InsertMany(ctx, []any{original("one"), strange}); err != nil {
		t.Fatal(err)
	}
	queue, err := s.Queue(ctx, 10)
	if err != nil || len(queue) != 2 {
		t.Fatalf("%d tasks in the queue, %v; want both", len(queue), err)
	}
	got, err := s.Task(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	want := &skalds.Task{
		Spec: skalds.Spec{
			ID: "one", ClassName: "MyWorker", Source: "Test", Mode: skalds.ModePassive, IsPersistent: true, Priority: 3,
			CreateDateTime: 1795474382118, DeadlineDateTime: 1796079182118,
			Attachments: json.RawMessage(`{"rtspUrl":"rtsp://x/s","fixFrame":30,"fps":30.0,"a":null}`),
		}.WithDefaults(0),
		LifecycleStatus: skalds.Created, UpdateDateTime: 1795474382119, Desired: skalds.DesiredRunning, QueuedAt: 1795474382118,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("adopted (-want +got):\n%s", diff)
	}
	stale := got.Clone()
	got, err = s.Task(ctx, "strange")
	if err != nil {
		t.Fatal(err)
	}
	if got.ClassName != "MyWorker" {
		t.Errorf("a field that only looks like ours was read: class %q", got.ClassName)
	}
	got.LifecycleStatus, got.Executor, got.Epoch = skalds.Assigning, "n1", 1
	if err := s.Save(ctx, got); err != nil {
		t.Fatalf("save what others have inserted: %v", err)
	}
	if err := s.Save(ctx, stale); err != nil { // revision 0 too
		t.Fatal(err)
	}
	stale.Revision = 0
	if err := s.Save(ctx, stale); !errors.Is(err, skalds.ErrRevision) {
		t.Errorf("saved as adopted once more: %v, want ErrRevision", err)
	}

	var doc bson.D
	if err := db.Collection("tasks").FindOne(ctx, bson.D{{Key: "id", Value: "strange"}}).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	// It is still one that the original's programs understand, and has what others have put there.
	for _, e := range strange {
		want := e.Value
		switch e.Key {
		case "lifecycleStatus":
			want = "Assigning"
		case "executor":
			want = "n1"
		case "name":
			want = "strange"
		}
		got := value(doc, e.Key)
		if n, ok := got.(int32); ok {
			got = int(n)
		}
		a, _ := bson.MarshalExtJSON(bson.D{{Key: "v", Value: got}}, true, false)
		b, _ := bson.MarshalExtJSON(bson.D{{Key: "v", Value: want}}, true, false)
		if string(a) != string(b) {
			t.Errorf("%s is %s after a save, want %s", e.Key, a, b)
		}
	}
	if value(doc, "revision") != int32(1) {
		t.Errorf("revision %v, want 1", value(doc, "revision"))
	}
}

func TestWhatIsCreatedHasAllFieldsOfTheOriginal(t *testing.T) {
	s, db := fresh(t)
	task := &skalds.Task{Spec: skalds.Spec{ID: "bare", ClassName: "C", Mode: skalds.ModePassive, CreateDateTime: 5}, LifecycleStatus: skalds.Created}
	if _, _, err := s.Create(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	var doc bson.D
	if err := db.Collection("tasks").FindOne(t.Context(), bson.D{{Key: "id", Value: "bare"}}).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	has := map[string]any{}
	for _, e := range doc {
		has[e.Key] = e.Value
	}
	for _, e := range original("") {
		if v, ok := has[e.Key]; !ok && e.Key != "deadlineDateTime" { // which the original's model fills in, and refuses as null
			t.Errorf("%s is missing", e.Key)
		} else if v == nil && (e.Key == "source" || e.Key == "id") {
			t.Errorf("%s is null, which the original's model refuses", e.Key)
		}
	}
	if _, ok := has["_id"].(bson.ObjectID); !ok {
		t.Errorf("_id is %T, want an ObjectID", has["_id"])
	}
}

func TestAFieldThatIsChangedByHandCounts(t *testing.T) {
	s, db := fresh(t)
	task := &skalds.Task{Spec: skalds.Spec{ID: "one", ClassName: "C", Mode: skalds.ModePassive, Attachments: json.RawMessage(`{"n":12345678901234567890123}`)}, LifecycleStatus: skalds.Created}
	if _, _, err := s.Create(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("tasks").UpdateOne(t.Context(), bson.D{{Key: "id", Value: "one"}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "attachments", Value: bson.D{{Key: "n", Value: 7}}}}}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Task(t.Context(), "one")
	if err != nil || string(got.Attachments) != `{"n":7}` {
		t.Errorf("attachments are %s, %v; want what was written by hand", got.Attachments, err)
	}
}

func TestASpoiltDocumentHoldsUpNoOther(t *testing.T) {
	s, db := fresh(t)
	ctx := t.Context()
	byHand := append(original("by hand")[:9:9], bson.E{Key: "createDateTime", Value: 5.0}, bson.E{Key: "updateDateTime", Value: bson.DateTime(6)},
		bson.E{Key: "lifecycleStatus", Value: "Created"}, bson.E{Key: "priority", Value: 2.0})
	spoilt := append(original("spoilt")[:9:9], bson.E{Key: "createDateTime", Value: "yesterday"}, bson.E{Key: "lifecycleStatus", Value: "Created"})
	empty := bson.D{{Key: "id", Value: "empty"}, {Key: "lifecycleStatus", Value: "Created"}}
	if _, err := db.Collection("tasks").InsertMany(ctx, []any{byHand, spoilt, empty}); err != nil {
		t.Fatal(err)
	}
	queue, err := s.Queue(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, task := range queue {
		got = append(got, task.ID)
	}
	if diff := cmp.Diff([]string{"by hand", "empty"}, got); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
	if queue[0].CreateDateTime != 5 || queue[0].UpdateDateTime != 6 || queue[0].Priority != 2 {
		t.Errorf("read as %+v", queue[0])
	}
	if _, err := s.Task(ctx, "spoilt"); err == nil || errors.Is(err, skalds.ErrNotFound) {
		t.Errorf("a spoilt document: %v, want what is wrong with it", err)
	}
	var seen []string
	for f := (controller.TaskFilter{Limit: 1}); ; {
		page, err := s.Tasks(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Items {
			seen = append(seen, task.ID)
		}
		if f.Cursor = page.Next; f.Cursor == "" || len(seen) > 3 {
			break
		}
	}
	if len(seen) == 0 || seen[0] != "by hand" {
		t.Errorf("the list by pages is %v", seen)
	}
}

func TestPruneDatesWhatTheOriginalHasEnded(t *testing.T) {
	s, db := fresh(t)
	old := original("old")
	for i := range old {
		switch old[i].Key {
		case "lifecycleStatus":
			old[i].Value = "Finished"
		case "updateDateTime":
			old[i].Value = int64(50)
		}
	}
	if _, err := db.Collection("tasks").InsertMany(t.Context(), []any{old, original("waits")}); err != nil {
		t.Fatal(err)
	}
	if removed, err := s.Prune(t.Context(), 50, 0); err != nil || len(removed) != 0 {
		t.Errorf("before its last change: removed %v, %v", removed, err)
	}
	if removed, err := s.Prune(t.Context(), 51, 0); err != nil || len(removed) != 1 || removed[0] != "old" {
		t.Errorf("after its last change: removed %v, %v", removed, err)
	}
}

// TestValuesComeBackAsTheyWentIn names what a conversion to BSON and back would change.
func TestValuesComeBackAsTheyWentIn(t *testing.T) {
	s, _ := fresh(t)
	for _, text := range []string{
		`{"z":1,"a":2,"m":{"y":1,"b":[1,"2",null,true,{"c":0.5}]}}`,
		`{"n":9007199254740993,"least":-9223372036854775808,"most":9223372036854775807}`,
		`{"n":9223372036854775808,"big":18446744073709551615,"huge":123456789012345678901234567890}`,
		`{"f":1e300,"g":1E-300,"h":0.1,"i":1.50,"j":-0.0,"k":-0,"l":1e400,"m":5e-324,"n":100.0,"o":1e2,"p":0.1000000000000000055511151231257827}`,
		`{"$where":1,"a.b":{"$ref":"#/x"},"":{"":""},"a\u0000b":"x\u0000y"}`,
		`{"twice":1,"twice":2}`,
		`{"html":"<b>&amp;</b>","lines":"a\u2028b","escaped":"\u003cb\u003e","smile":"😀 Käse","half":"\ud800"}`,
		`[1,2,3]`, `"text"`, `12`, `1.5`, `true`, `{}`, `[]`,
		deep(150),
	} {
		id := bson.NewObjectID().Hex()
		raw := json.RawMessage(text)
		task := &skalds.Task{
			Spec:            skalds.Spec{ID: id, ClassName: "C", Mode: skalds.ModePassive, Attachments: raw, Labels: map[string]string{"$a.b": "x"}},
			LifecycleStatus: skalds.Created, Result: raw, Stages: map[string]json.RawMessage{"s.$1": raw}, Desired: skalds.DesiredRunning,
		}
		if _, _, err := s.Create(t.Context(), task); err != nil {
			t.Errorf("create with %.60s: %v", text, err)
			continue
		}
		got, err := s.Task(t.Context(), id)
		if err != nil {
			t.Errorf("read with %.60s: %v", text, err)
			continue
		}
		if string(got.Attachments) != text || string(got.Result) != text || string(got.Stages["s.$1"]) != text || got.Labels["$a.b"] != "x" {
			t.Errorf("%.200s\ncame back as %.200s\nand %.200s\nand %.200s, labels %v", text, got.Attachments, got.Result, got.Stages["s.$1"], got.Labels)
		}
		got.Attachments, got.Result = json.RawMessage(`{"plain":1}`), nil
		if err := s.Save(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		if got, err = s.Task(t.Context(), id); err != nil || string(got.Attachments) != `{"plain":1}` || got.Result != nil {
			t.Errorf("after a save: attachments %s, result %s, %v", got.Attachments, got.Result, err)
		}
	}
}

func deep(n int) string {
	b := make([]byte, 0, 2*n+1)
	for range n {
		b = append(b, '[')
	}
	b = append(b, '1')
	for range n {
		b = append(b, ']')
	}
	return string(b)
}
