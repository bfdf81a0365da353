package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/skalds-go/skalds/controller"
)

// Audit keeps an entry.
func (s *Store) Audit(ctx context.Context, e controller.AuditEntry) error {
	doc, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write an audit entry: %w", err)
	}
	return s.write(ctx, "keep an audit entry", false, func(x *txn) error {
		_, err := x.exec(`INSERT INTO audits(at, task_id, doc) VALUES(?,?,?)`, e.At, e.TaskID, string(doc))
		return err
	})
}

// Audits lists the newest entries of a task ("" = of everything), newest first.
func (s *Store) Audits(ctx context.Context, taskID string, limit int) ([]controller.AuditEntry, error) {
	query, args := `SELECT doc FROM audits ORDER BY seq DESC LIMIT ?`, []any{orDefault(limit)}
	if taskID != "" {
		query, args = `SELECT doc FROM audits WHERE task_id = ? AND task_id != '' ORDER BY seq DESC LIMIT ?`, []any{taskID, orDefault(limit)}
	}
	return decodeAll[controller.AuditEntry](s.column(ctx, "list audit entries", query, args...))
}
