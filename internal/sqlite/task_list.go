package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

const defaultLimit = 100

// Tasks lists, newest first.
func (s *Store) Tasks(ctx context.Context, f controller.TaskFilter) (controller.TaskPage, error) {
	var page controller.TaskPage
	where, args := conditions(f)
	if err := s.readers.QueryRowContext(ctx, `SELECT count(*) FROM tasks WHERE `+where, args...).Scan(&page.Total); err != nil {
		return page, s.fault("count tasks", err)
	}
	limit, offset := f.Limit, f.Offset
	if limit <= 0 {
		limit = defaultLimit
	}
	if f.Cursor != "" {
		at, id, err := controller.ParseCursor(f.Cursor)
		if err != nil {
			return page, err
		}
		where += ` AND (created_at < ? OR (created_at = ? AND id > ?))`
		args, offset = append(args, at, at, id), 0
	}
	items, err := s.tasks(ctx, `SELECT doc FROM tasks WHERE `+where+` ORDER BY created_at DESC, id LIMIT ? OFFSET ?`, append(args, limit+1, offset)...)
	if err != nil {
		return page, err
	}
	if len(items) > limit {
		items = items[:limit]
		page.Next = controller.CursorAfter(items[limit-1].CreateDateTime, items[limit-1].ID)
	}
	page.Items = items
	return page, nil
}

// conditions turns a filter into SQL; nothing of the filter becomes part of the text.
func conditions(f controller.TaskFilter) (where string, args []any) {
	parts := []string{`1`}
	add := func(sql string, values ...any) {
		parts = append(parts, sql)
		args = append(args, values...)
	}
	if len(f.States) > 0 {
		states := make([]any, len(f.States))
		for i, st := range f.States {
			states[i] = string(st)
		}
		add(`state IN (?`+strings.Repeat(`,?`, len(states)-1)+`)`, states...)
	}
	if f.ClassName != "" {
		add(`class_name = ?`, f.ClassName)
	}
	if f.Executor != "" {
		add(`executor = ? AND executor != ''`, f.Executor) // the latter says that the index of executors will do
	}
	if f.Mode != "" {
		add(`mode = ?`, string(f.Mode))
	}
	if f.IDContains != "" {
		add(`instr(folded_id, ?) > 0`, strings.ToLower(f.IDContains))
	}
	keys := make([]string, 0, len(f.Labels))
	for k := range f.Labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		add(`EXISTS (SELECT 1 FROM json_each(doc, '$.labels') WHERE key = ? AND value = ?)`, k, f.Labels[k])
	}
	return strings.Join(parts, ` AND `), args
}

// Queue lists tasks in state Created that are not quarantined, priority descending, oldest first.
func (s *Store) Queue(ctx context.Context, limit int) ([]*skalds.Task, error) {
	return s.tasks(ctx, `SELECT doc FROM tasks WHERE queued = 1 ORDER BY priority DESC, created_at, id LIMIT ?`, orDefault(limit))
}

// OnNode lists the tasks that belong to a node.
func (s *Store) OnNode(ctx context.Context, node string) ([]*skalds.Task, error) {
	return s.tasks(ctx, `SELECT doc FROM tasks WHERE executor = ? AND executor != '' AND state IN ('Assigning', 'Running', 'Paused') ORDER BY created_at, id`, node)
}

// Placed lists the tasks of all nodes.
func (s *Store) Placed(ctx context.Context) (map[string][]controller.PlacedTask, error) {
	const what = "list the tasks of all nodes"
	rows, err := s.readers.QueryContext(ctx, `SELECT executor, id, state FROM tasks WHERE executor != '' AND state IN ('Assigning', 'Running', 'Paused') ORDER BY executor, created_at, id`)
	if err != nil {
		return nil, s.fault(what, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports
	placed := map[string][]controller.PlacedTask{}
	for rows.Next() {
		var node, state string
		var t controller.PlacedTask
		if err := rows.Scan(&node, &t.ID, &state); err != nil {
			return nil, s.fault(what, err)
		}
		t.State = skalds.State(state)
		placed[node] = append(placed[node], t)
	}
	return placed, s.fault(what, rows.Err())
}

// Unacked lists tasks on nodes that have not applied what is desired, oldest first.
func (s *Store) Unacked(ctx context.Context, limit int) ([]*skalds.Task, error) {
	return s.tasks(ctx, `SELECT doc FROM tasks WHERE unacked = 1 ORDER BY created_at, id LIMIT ?`, orDefault(limit))
}

func orDefault(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return limit
}

func (s *Store) tasks(ctx context.Context, query string, args ...any) ([]*skalds.Task, error) {
	docs, err := s.column(ctx, "list tasks", query, args...)
	if err != nil {
		return nil, err
	}
	tasks := make([]*skalds.Task, len(docs))
	for i, doc := range docs {
		if tasks[i], err = decodeTask(doc); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

// CountByState counts the tasks of a class, or all; states without tasks are not in the map.
func (s *Store) CountByState(ctx context.Context, className string) (map[skalds.State]int, error) {
	query, args := `SELECT state, count(*) FROM tasks GROUP BY state`, []any{}
	if className != "" {
		query, args = `SELECT state, count(*) FROM tasks WHERE class_name = ? GROUP BY state`, []any{className}
	}
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.fault("count tasks", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports
	counts := map[skalds.State]int{}
	for rows.Next() {
		var state string
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return nil, fmt.Errorf("count tasks: %w", err)
		}
		counts[skalds.State(state)] = n
	}
	return counts, s.fault("count tasks", rows.Err())
}

// ClassNames lists the classes of all tasks, sorted.
func (s *Store) ClassNames(ctx context.Context) ([]string, error) {
	return s.column(ctx, "list classes", `SELECT DISTINCT class_name FROM tasks ORDER BY class_name`)
}
