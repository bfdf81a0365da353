package mongo

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

const defaultLimit = 100

// Tasks lists, newest first.
func (s *Store) Tasks(ctx context.Context, f controller.TaskFilter) (controller.TaskPage, error) {
	var page controller.TaskPage
	where, anchored := conditions(f)
	limit, offset := orDefault(f.Limit), f.Offset
	what := where
	if f.Cursor != "" {
		at, id, err := controller.ParseCursor(f.Cursor)
		if err != nil {
			return page, err
		}
		what, offset = append(slices.Clip(where), after(at, id)...), 0
	}
	opts := options.Find().SetSort(newest).SetSkip(int64(max(offset, 0))).SetLimit(int64(limit) + 1)
	count := options.Count()
	if !anchored { // no index has a part of an id, or everything: at least none of the documents is read for it
		opts.SetHint(newest)
		count.SetHint(newest)
	}
	docs := []bson.D{}
	err := s.read(ctx, "list tasks", func(ctx context.Context) error {
		total, err := s.tasks.CountDocuments(ctx, where, count)
		if err != nil {
			return err
		}
		page.Total = int(total)
		docs, err = findAll(ctx, s.tasks, what, opts)
		return err
	})
	if err != nil {
		return page, err
	}
	if len(docs) > limit {
		docs = docs[:limit]
		last := docs[limit-1]
		page.Next = cursorAfter(last)
	}
	page.Items = s.decodeTasks(docs)
	return page, nil
}

// conditions turns a filter into a query. anchored says that an index leads to what it asks for.
func conditions(f controller.TaskFilter) (where bson.D, anchored bool) {
	where = bson.D{}
	add := func(name string, value any) {
		where = append(where, bson.E{Key: name, Value: value})
		anchored = true
	}
	if len(f.States) > 0 {
		add("lifecycleStatus", in(f.States...))
	}
	if f.ClassName != "" {
		add("className", f.ClassName)
	}
	if f.Executor != "" {
		add("executor", f.Executor)
	}
	if f.Mode != "" {
		add("mode", f.Mode)
	}
	if len(f.Labels) > 0 {
		pairs := make([]string, 0, len(f.Labels))
		for k, v := range f.Labels {
			pairs = append(pairs, labelPair(k, v))
		}
		slices.Sort(pairs)
		add("labelPairs", bson.D{{Key: "$all", Value: pairs}})
	}
	if f.IDContains != "" {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(f.IDContains), "\x00", `\x00`)
		where = append(where, bson.E{Key: "id", Value: bson.Regex{Pattern: pattern, Options: "i"}})
	}
	return where, anchored
}

// in asks for one of the values.
func in[T any](values ...T) any {
	if len(values) == 1 {
		return values[0]
	}
	return bson.D{{Key: "$in", Value: values}}
}

// after asks for what follows a place in the order of lists. The first condition is all that an index needs.
func after(at int64, id string) bson.D {
	const created = "createDateTime"
	return bson.D{
		{Key: created, Value: bson.D{{Key: "$lte", Value: at}}},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: created, Value: bson.D{{Key: "$lt", Value: at}}}},
			bson.D{{Key: "id", Value: bson.D{{Key: "$gt", Value: id}}}},
		}},
	}
}

// A cursor is the place of a task in the order of lists, so that it holds when the task is gone.
func cursorAfter(doc bson.D) string {
	created, at := field(doc, "createDateTime"), int64(math.MaxInt64)
	switch created.(type) {
	case int32, int64, float64:
		at = integer(created)
	case nil:
		at = 0
	} // anything else is no time, and stands before all times
	id, _ := field(doc, "id").(string)
	return controller.CursorAfter(at, id)
}

// Queue lists tasks in state Created that are not quarantined, priority descending, oldest first.
func (s *Store) Queue(ctx context.Context, limit int) ([]*skalds.Task, error) {
	return s.list(ctx, bson.D{{Key: "lifecycleStatus", Value: skalds.Created}, {Key: "quarantined", Value: bson.D{{Key: "$in", Value: bson.A{nil, ""}}}}},
		options.Find().SetSort(keys("-priority", "createDateTime", "id")).SetLimit(int64(orDefault(limit))))
}

// OnNode lists the tasks that belong to a node.
func (s *Store) OnNode(ctx context.Context, node string) ([]*skalds.Task, error) {
	if node == "" {
		return nil, nil
	}
	return s.list(ctx, bson.D{{Key: "executor", Value: node}, {Key: "lifecycleStatus", Value: in(skalds.Assigning, skalds.Running, skalds.Paused)}},
		options.Find().SetSort(keys("createDateTime", "id")))
}

// Placed lists the tasks of all nodes.
func (s *Store) Placed(ctx context.Context) (map[string][]controller.PlacedTask, error) {
	var docs []bson.D
	err := s.read(ctx, "list the tasks of all nodes", func(ctx context.Context) (err error) {
		docs, err = findAll(ctx, s.tasks,
			bson.D{{Key: "executor", Value: bson.D{{Key: "$gt", Value: ""}}}, {Key: "lifecycleStatus", Value: in(skalds.Assigning, skalds.Running, skalds.Paused)}},
			options.Find().SetSort(keys("executor", "createDateTime", "id")).SetProjection(keys("executor", "id", "lifecycleStatus")))
		return err
	})
	placed := map[string][]controller.PlacedTask{}
	for _, doc := range docs {
		node, _ := field(doc, "executor").(string)
		id, _ := field(doc, "id").(string)
		state, _ := field(doc, "lifecycleStatus").(string)
		if id != "" && node != "" {
			placed[node] = append(placed[node], controller.PlacedTask{ID: id, State: skalds.State(state)})
		}
	}
	return placed, err
}

// Unacked lists tasks on nodes that have not applied what is desired, oldest first.
func (s *Store) Unacked(ctx context.Context, limit int) ([]*skalds.Task, error) {
	return s.list(ctx, bson.D{{Key: "unacked", Value: true}},
		options.Find().SetSort(keys("createDateTime", "id")).SetLimit(int64(orDefault(limit))))
}

func orDefault(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return limit
}

func (s *Store) list(ctx context.Context, filter bson.D, opts *options.FindOptionsBuilder) ([]*skalds.Task, error) {
	var docs []bson.D
	err := s.read(ctx, "list tasks", func(ctx context.Context) (err error) {
		docs, err = findAll(ctx, s.tasks, filter, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.decodeTasks(docs), nil
}

// decodeTasks leaves out what cannot be read: one document that somebody has spoilt must not hold up all others.
func (s *Store) decodeTasks(docs []bson.D) []*skalds.Task {
	tasks := make([]*skalds.Task, 0, len(docs))
	for _, doc := range docs {
		t, err := s.decodeTask(doc)
		if err != nil {
			if s.unread.first(field(doc, "_id")) {
				s.log.Error("a task is left out", "err", err)
			}
			continue
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// group counts documents by a field.
type group struct {
	Key any `bson:"_id"`
	N   int `bson:"n"`
}

// CountByState counts the tasks of a class, or all; states without tasks are not in the map.
func (s *Store) CountByState(ctx context.Context, className string) (map[skalds.State]int, error) {
	where := bson.D{{Key: "lifecycleStatus", Value: in(skalds.States()...)}}
	if className != "" {
		where = append(bson.D{{Key: "className", Value: className}}, where...)
	}
	groups, err := s.groups(ctx, "count tasks", s.tasks, where, "lifecycleStatus")
	counts := map[skalds.State]int{}
	for _, g := range groups {
		if state, ok := g.Key.(string); ok {
			counts[skalds.State(state)] = g.N
		}
	}
	return counts, err
}

// ClassNames lists the classes of all tasks, sorted.
func (s *Store) ClassNames(ctx context.Context) ([]string, error) {
	groups, err := s.groups(ctx, "list classes", s.tasks, bson.D{{Key: "className", Value: bson.D{{Key: "$gt", Value: ""}}}}, "className")
	classes := []string{}
	for _, g := range groups {
		if name, ok := g.Key.(string); ok {
			classes = append(classes, name)
		}
	}
	slices.Sort(classes)
	return classes, err
}

func (s *Store) groups(ctx context.Context, what string, c *driver.Collection, where bson.D, by string) (groups []group, err error) {
	err = s.read(ctx, what, func(ctx context.Context) error {
		cursor, err := c.Aggregate(ctx, driver.Pipeline{
			{{Key: "$match", Value: where}},
			{{Key: "$group", Value: bson.D{{Key: "_id", Value: "$" + by}, {Key: "n", Value: bson.D{{Key: "$sum", Value: 1}}}}}},
		})
		if err != nil {
			return err
		}
		return cursor.All(ctx, &groups)
	})
	return groups, err
}
