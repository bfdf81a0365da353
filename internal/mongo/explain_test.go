package mongo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/testlog"
)

// heard takes down what a store asks of the server.
type heard struct {
	mu       sync.Mutex
	commands map[string]bson.Raw // by text, each once
	problems []string
}

func (h *heard) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		h.mu.Lock()
		defer h.mu.Unlock()
		var asked []bson.Raw
		switch e.CommandName {
		case "find", "aggregate", "count", "distinct":
			asked = []bson.Raw{append(bson.Raw(nil), e.Command...)}
		case "update":
			asked = h.filters(e.Command, "updates")
		case "delete":
			asked = h.filters(e.Command, "deletes")
		}
		for _, command := range asked {
			h.commands[command.String()] = command
		}
	}}
}

// filters are the searches within writes, as finds: of those every server can say how it would make them.
func (h *heard) filters(command bson.Raw, list string) (finds []bson.Raw) {
	var all bson.D
	if err := bson.Unmarshal(command, &all); err != nil {
		h.problems = append(h.problems, err.Error())
		return nil
	}
	writes, _ := field(all, list).(bson.A)
	if len(writes) == 0 {
		h.problems = append(h.problems, "no searches in "+command.String())
	}
	for _, w := range writes {
		fields, _ := w.(bson.D)
		find, err := bson.Marshal(bson.D{{Key: "find", Value: all[0].Value}, {Key: "filter", Value: field(fields, "q")}})
		if err != nil {
			h.problems = append(h.problems, err.Error())
			continue
		}
		finds = append(finds, find)
	}
	return finds
}

// TestNoSearchReadsAWholeCollection runs every call, takes down what it sends, and asks the server how it finds that.
func TestNoSearchReadsAWholeCollection(t *testing.T) {
	uri := os.Getenv("SKALDS_TEST_MONGO")
	if uri == "" {
		t.Skip("SKALDS_TEST_MONGO is not set: it names a server that speaks MongoDB's protocol, in which this test may make databases")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	h := &heard{commands: map[string]bson.Raw{}}
	s, err := Open(Config{URI: uri, Database: "skalds_test_" + bson.NewObjectID().Hex(), Timeout: 30 * time.Second, monitor: h.monitor()}, testlog.New(t))
	if err != nil {
		t.Fatal(err)
	}
	db := s.tasks.Database()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(db.Drop(ctx), s.Close()); err != nil {
			t.Error(err)
		}
	})
	askEverything(ctx, t, s)
	for _, p := range h.problems {
		t.Error(p)
	}
	if len(h.commands) < 30 {
		t.Errorf("only %d commands were taken down", len(h.commands))
	}
	find := func(filter bson.D) bson.D {
		return bson.D{{Key: "find", Value: "tasks"}, {Key: "filter", Value: filter}}
	}
	if plan, err := explain(ctx, db, find(bson.D{{Key: "nobody", Value: 1}})); err != nil || !strings.Contains(plan, "COLLSCAN") {
		t.Skipf("this server does not say how it searches (%v): %s", err, plan)
	}
	// Any planner takes the unique index here. One that does not say so cannot tell of searches with more conditions than one.
	plan, err := explain(ctx, db, find(append(byID("task-1"), bson.E{Key: "revision", Value: 1})))
	if err != nil {
		t.Fatal(err)
	}
	honest := byIndex(plan)
	if !honest {
		t.Log("NOT PROVEN HERE: this server's plans leave out indexes that serve a part of the conditions; it is only asked whether each search has an index that it can use when told to")
	}
	for text, command := range h.commands {
		c := bare(t, command)
		plan, err := explain(ctx, db, c)
		if err == nil && !byIndex(plan) && !honest {
			index := s.indexFor(c)
			if index == nil {
				t.Errorf("there is no index for %s", text)
				continue
			}
			plan, err = explain(ctx, db, append(c, bson.E{Key: "hint", Value: index}))
		}
		if err != nil {
			t.Errorf("explain %s: %v", text, err)
		} else if !byIndex(plan) {
			t.Errorf("reads the whole collection: %.500s\nplan: %.500s", text, plan)
		}
	}
	t.Logf("%d searches were explained", len(h.commands))
}

// byIndex reports whether a plan reads what an index names.
func byIndex(plan string) bool {
	for _, stage := range []string{"IXSCAN", "COUNT_SCAN", "DISTINCT_SCAN", "IDHACK", "EXPRESS", `"EOF"`} {
		if strings.Contains(plan, stage) {
			return !strings.Contains(plan, "COLLSCAN")
		}
	}
	return false
}

// bare is a command without what belongs to its way.
func bare(t *testing.T, command bson.Raw) (c bson.D) {
	t.Helper()
	var all bson.D
	if err := bson.Unmarshal(command, &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		switch e.Key {
		case "lsid", "$db", "$clusterTime", "txnNumber", "readConcern", "writeConcern", "maxTimeMS", "$readPreference":
		default:
			c = append(c, e)
		}
	}
	return c
}

// indexFor finds an index that begins with a field that a search asks for, or has its order; nil: there is none.
func (s *Store) indexFor(command bson.D) bson.D {
	filter, _ := field(command, "filter").(bson.D)
	if stages, _ := field(command, "pipeline").(bson.A); len(stages) > 0 {
		match, _ := stages[0].(bson.D)
		filter, _ = field(match, "$match").(bson.D)
	}
	order, _ := field(command, "sort").(bson.D)
	candidates := []bson.D{keys("_id")}
	for _, c := range s.indexes() {
		if c.collection.Name() == command[0].Value {
			for _, m := range c.models {
				candidates = append(candidates, m.Keys.(bson.D))
			}
		}
	}
	for _, index := range candidates {
		if field(filter, index[0].Key) != nil || len(order) > 0 && len(order) <= len(index) && fmt.Sprint(whole64(order)) == fmt.Sprint(whole64(index[:len(order)])) {
			return index
		}
	}
	return nil
}

// whole64 is an order whose numbers are of one width.
func whole64(order bson.D) (same bson.D) {
	for _, e := range order {
		n, ok := e.Value.(int)
		if !ok {
			n = int(integer(e.Value))
		}
		same = append(same, bson.E{Key: e.Key, Value: n})
	}
	return same
}

func explain(ctx context.Context, db *driver.Database, command bson.D) (string, error) {
	var plan bson.M
	err := db.RunCommand(ctx, bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"}}, options.RunCmd()).Decode(&plan)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(plan)
	return string(text), err
}

// askEverything makes every call of the store, on a few of everything.
func askEverything(ctx context.Context, t *testing.T, s *Store) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	states := skalds.States()
	for i := range 28 {
		task := &skalds.Task{
			Spec: skalds.Spec{
				ID: fmt.Sprint("task-", i), ClassName: fmt.Sprint("C", i%3), Mode: skalds.ModePassive, Priority: i % 4, CreateDateTime: int64(100 + i),
				Labels: map[string]string{"zone": fmt.Sprint(i % 2)},
			},
			LifecycleStatus: states[i%len(states)], IdempotencyKey: fmt.Sprint("key", i), DesiredRevision: int64(i % 2),
		}
		if task.LifecycleStatus.OnNode() {
			task.Executor = fmt.Sprint("n", i%3)
		}
		if task.LifecycleStatus.Final() && i > 7 {
			task.EndedAt = int64(1000 + i)
		}
		_, _, err := s.Create(ctx, task)
		must(err)
		must(s.Save(ctx, task))
		must(s.PutUsage(ctx, []controller.TaskUsage{{TaskID: task.ID, Samples: []skalds.UsageSample{{At: int64(i) * time.Hour.Milliseconds()}}}}))
		must(s.Audit(ctx, controller.AuditEntry{At: int64(i), TaskID: task.ID}))
		for range 2 {
			must(s.PutOutcome(ctx, skalds.Outcome{
				OutcomeKey: skalds.OutcomeKey{TaskID: task.ID, Kind: skalds.OutcomeArtifact, Name: "a"},
				Artifact:   &skalds.Artifact{TaskID: task.ID, Path: "a", StartedAt: 3, EndedAt: 4},
			}))
		}
	}
	if err := s.Save(ctx, &skalds.Task{Spec: skalds.Spec{ID: "task-1"}, Revision: 99}); !errors.Is(err, skalds.ErrRevision) {
		t.Fatal(err)
	}
	for _, f := range []controller.TaskFilter{
		{},
		{States: []skalds.State{skalds.Running}},
		{States: []skalds.State{skalds.Running, skalds.Failed}},
		{ClassName: "C1"},
		{Executor: "n1"},
		{IDContains: "K-1"},
		{Mode: skalds.ModePassive},
		{Labels: map[string]string{"zone": "1"}},
		{Offset: 3},
		{States: []skalds.State{skalds.Running}, ClassName: "C1", Executor: "n1", IDContains: "1", Mode: skalds.ModePassive, Labels: map[string]string{"zone": "1"}},
	} {
		f.Limit = 2
		page, err := s.Tasks(ctx, f)
		must(err)
		if page.Next != "" {
			f.Cursor = page.Next
			_, err := s.Tasks(ctx, f)
			must(err)
		}
	}
	_, err := s.Task(ctx, "task-1")
	must(err)
	_, err = s.Queue(ctx, 10)
	must(err)
	_, err = s.OnNode(ctx, "n1")
	must(err)
	_, err = s.Placed(ctx)
	must(err)
	_, err = s.Unacked(ctx, 10)
	must(err)
	for _, class := range []string{"", "C1"} {
		_, err = s.CountByState(ctx, class)
		must(err)
	}
	_, err = s.ClassNames(ctx)
	must(err)
	_, err = s.Attempts(ctx, "task-1")
	must(err)
	_, err = s.Artifacts(ctx, "task-1", 1)
	must(err)
	for _, task := range []string{"", "task-1"} {
		_, err = s.Audits(ctx, task, 10)
		must(err)
	}
	_, err = s.Usage(ctx, "task-1")
	must(err)
	must(s.SaveNode(ctx, skalds.Node{ID: "n1"}))
	must(s.SaveNode(ctx, skalds.Node{ID: "n1", Revision: 1}))
	_, err = s.Nodes(ctx)
	must(err)
	must(s.SaveWorkers(ctx, "n1", []skalds.WorkerInfo{{Name: "w", Version: "1.0.0"}}))
	_, err = s.Workers(ctx)
	must(err)
	must(s.SaveOffset(ctx, "reports", "1"))
	_, err = s.Offset(ctx, "reports")
	must(err)
	_, err = s.Generation(ctx)
	must(err)
	must(s.SaveProfiles(ctx, []controller.StoredProfile{{ClassName: "C", Worker: "w@1", UpdatedAt: 5, Doc: json.RawMessage(`{}`)}}))
	_, err = s.Profiles(ctx)
	must(err)
	lease := controller.LeaderLease{Owner: "a", Term: 1, Renewal: 1}
	must(s.SaveLeader(ctx, controller.LeaderLease{}, lease))
	must(s.SaveLeader(ctx, lease, controller.LeaderLease{Owner: "a", Term: 1, Renewal: 2}))
	_, err = s.Leader(ctx)
	must(err)
	s.failing.Store(true)
	must(s.Ping(ctx))
	must(s.PruneUsage(ctx, 3*time.Hour.Milliseconds()))
	must(s.PruneProfiles(ctx, 3))
	_, err = s.Prune(ctx, 1010, 2)
	must(err)
}
