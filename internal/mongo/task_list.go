package mongo

import (
	"context"
	"regexp"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

const defaultLimit = 100

func orDefault(limit int) int64 {
	if limit <= 0 {
		limit = defaultLimit
	}
	return int64(limit)
}

var (
	newestFirst = bson.D{{Key: fieldCreated, Value: -1}, {Key: fieldID, Value: 1}}
	oldestFirst = bson.D{{Key: fieldCreated, Value: 1}, {Key: fieldID, Value: 1}}
	mostUrgent  = bson.D{{Key: fieldPriority, Value: -1}, {Key: fieldCreated, Value: 1}, {Key: fieldID, Value: 1}}

	onNode = bson.D{{Key: "$in", Value: bson.A{string(skalds.Assigning), string(skalds.Running), string(skalds.Paused)}}}
	queued = bson.D{
		{Key: fieldState, Value: string(skalds.Created)},
		{Key: fieldQuarantined, Value: nil}, // not there
	}
)

// find lists tasks.
func (s *Store) find(ctx context.Context, what string, filter, sort bson.D, limit, offset int64) (list []*skalds.Task, err error) {
	err = s.do(ctx, what, func() error {
		c, err := s.tasks.Find(ctx, filter, options.Find().SetSort(sort).SetLimit(limit).SetSkip(offset))
		list, err = all(ctx, c, err, decodeTask)
		return err
	})
	return list, err
}

// Tasks lists, newest first.
func (s *Store) Tasks(ctx context.Context, f controller.TaskFilter) (page controller.TaskPage, err error) {
	filter := conditions(f)
	err = s.do(ctx, "count tasks", func() error {
		count := s.tasks.CountDocuments
		if len(filter) == 0 {
			n, err := s.tasks.EstimatedDocumentCount(ctx)
			page.Total = int(n)
			return err
		}
		n, err := count(ctx, filter)
		page.Total = int(n)
		return err
	})
	if err != nil {
		return page, err
	}
	limit, offset := orDefault(f.Limit), int64(f.Offset)
	if f.Cursor != "" {
		at, id, err := controller.ParseCursor(f.Cursor)
		if err != nil {
			return page, err
		}
		offset = 0
		filter = append(filter, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: fieldCreated, Value: bson.D{{Key: "$lt", Value: at}}}},
			bson.D{{Key: fieldCreated, Value: at}, {Key: fieldID, Value: bson.D{{Key: "$gt", Value: id}}}},
		}})
		filter = append(filter, bson.E{Key: fieldCreated, Value: bson.D{{Key: "$lte", Value: at}}}) // where the index begins
	}
	items, err := s.find(ctx, "list tasks", filter, newestFirst, limit+1, offset)
	if err != nil {
		return page, err
	}
	if int64(len(items)) > limit {
		items = items[:limit]
		page.Next = controller.CursorAfter(items[limit-1])
	}
	page.Items = items
	return page, nil
}

// conditions turns a filter into a query.
func conditions(f controller.TaskFilter) bson.D {
	d := bson.D{}
	add := func(key string, value any) { d = append(d, bson.E{Key: key, Value: value}) }
	switch len(f.States) {
	case 0:
	case 1:
		add(fieldState, string(f.States[0]))
	default:
		states := bson.A{}
		for _, st := range f.States {
			states = append(states, string(st))
		}
		add(fieldState, bson.D{{Key: "$in", Value: states}})
	}
	if f.ClassName != "" {
		add(fieldClass, f.ClassName)
	}
	if f.Executor != "" {
		add(fieldExecutor, f.Executor)
	}
	if f.Mode != "" {
		add(fieldMode, string(f.Mode))
	}
	if f.IDContains != "" {
		add(fieldID, bson.D{{Key: "$regex", Value: regexp.QuoteMeta(f.IDContains)}, {Key: "$options", Value: "i"}})
	}
	if len(f.Labels) > 0 {
		pairs := []string{}
		for k, v := range f.Labels {
			pairs = append(pairs, k+"="+v)
		}
		slices.Sort(pairs)
		add(fieldLabelPairs, bson.D{{Key: "$all", Value: pairs}})
	}
	return d
}

// Queue lists tasks in state Created that are not quarantined, priority descending, oldest first.
func (s *Store) Queue(ctx context.Context, limit int) ([]*skalds.Task, error) {
	return s.find(ctx, "read the queue", queued, mostUrgent, orDefault(limit), 0)
}

// OnNode lists the tasks that belong to a node.
func (s *Store) OnNode(ctx context.Context, node string) ([]*skalds.Task, error) {
	if node == "" {
		return nil, nil
	}
	return s.find(ctx, "list the tasks of node "+node, bson.D{{Key: fieldExecutor, Value: node}, {Key: fieldState, Value: onNode}}, oldestFirst, 0, 0)
}

// Unacked lists tasks on nodes that have not applied what is desired, oldest first.
func (s *Store) Unacked(ctx context.Context, limit int) ([]*skalds.Task, error) {
	return s.find(ctx, "list unanswered commands", bson.D{{Key: fieldUnacked, Value: true}}, oldestFirst, orDefault(limit), 0)
}

// groups runs an aggregation whose answers have an _id and, maybe, a count.
func (s *Store) groups(ctx context.Context, what string, stages ...bson.D) (list []group, err error) {
	err = s.do(ctx, what, func() error {
		c, err := s.tasks.Aggregate(ctx, stages)
		list, err = all(ctx, c, err, func(raw bson.Raw) (g group, err error) { return g, bson.Unmarshal(raw, &g) })
		return err
	})
	return list, err
}

type group struct {
	ID string `bson:"_id"`
	N  int    `bson:"n"`
}

func stage(name string, what any) bson.D { return bson.D{{Key: name, Value: what}} }

// CountByState counts the tasks of a class, or all; states without tasks are not in the map.
func (s *Store) CountByState(ctx context.Context, className string) (map[skalds.State]int, error) {
	states := bson.A{}
	for _, st := range skalds.States() {
		states = append(states, string(st))
	}
	match := bson.D{{Key: fieldState, Value: bson.D{{Key: "$in", Value: states}}}}
	if className != "" {
		match = append(bson.D{{Key: fieldClass, Value: className}}, match...)
	}
	list, err := s.groups(ctx, "count tasks", stage("$match", match),
		stage("$group", bson.D{{Key: "_id", Value: "$" + fieldState}, {Key: "n", Value: bson.D{{Key: "$sum", Value: 1}}}}))
	if err != nil {
		return nil, err
	}
	counts := map[skalds.State]int{}
	for _, g := range list {
		counts[skalds.State(g.ID)] = g.N
	}
	return counts, nil
}

// ClassNames lists the classes of all tasks, sorted.
func (s *Store) ClassNames(ctx context.Context) ([]string, error) {
	list, err := s.groups(ctx, "list classes", stage("$match", bson.D{{Key: fieldClass, Value: bson.D{{Key: "$gt", Value: ""}}}}),
		stage("$group", bson.D{{Key: "_id", Value: "$" + fieldClass}}), stage("$sort", bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, g := range list {
		names[i] = g.ID
	}
	return names, nil
}
