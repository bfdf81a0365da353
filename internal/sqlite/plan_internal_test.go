package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// TestListsOfANodeUseItsIndex: what is asked at every hello does not look at the tasks of all nodes.
func TestListsOfANodeUseItsIndex(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "skalds.db"))
	where, args := conditions(controller.TaskFilter{Executor: "n1", Mode: skalds.ModeActive})
	for _, query := range []string{
		`SELECT count(*) FROM tasks WHERE ` + where,
		`SELECT doc FROM tasks WHERE ` + where + ` ORDER BY created_at DESC, id LIMIT 1001 OFFSET 0`,
	} {
		rows, err := s.readers.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		plan := ""
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "; "
		}
		if err := rows.Err(); err != nil || !strings.Contains(plan, "INDEX tasks_executor") {
			t.Errorf("%s: %s %v", query, plan, err)
		}
		_ = rows.Close()
	}
}
