package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// PutOutcome inserts by key, in one transaction. A repeated key changes nothing, but for an attempt or artifact that was still open.
func (s *Store) PutOutcome(ctx context.Context, list ...skalds.Outcome) error {
	if len(list) == 0 {
		return nil
	}
	rows := make([][]any, len(list))
	durable := false
	for i, o := range list {
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
		doc, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("write an outcome of task %s: %w", o.TaskID, err)
		}
		rows[i] = []any{o.TaskID, o.Epoch, o.Attempt, string(o.Kind), o.Name, at, ended, string(doc)}
		durable = durable || ended != 0 // what is acknowledged after this is forgotten by the host; a start says nothing that the end would not repeat
	}
	return s.write(ctx, "keep outcomes of task "+list[0].TaskID, durable, func(x *txn) error {
		for _, row := range rows {
			if _, err := x.exec(`INSERT INTO outcomes(task_id, epoch, attempt, kind, name, at, ended, doc) VALUES(?,?,?,?,?,?,?,?)
				ON CONFLICT DO UPDATE SET at = excluded.at, ended = excluded.ended, doc = excluded.doc
				WHERE (kind = 'exit' AND outcomes.ended = 0) OR (kind = 'artifact' AND (outcomes.ended = 0 OR excluded.ended != 0))`, row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Attempts lists a task's attempts, oldest first.
func (s *Store) Attempts(ctx context.Context, taskID string) ([]skalds.Attempt, error) {
	return decodeAll[skalds.Attempt](s.column(ctx, "list the attempts of task "+taskID,
		`SELECT doc FROM outcomes WHERE task_id = ? AND kind = 'exit' ORDER BY epoch, attempt`, taskID))
}

// Artifacts lists the newest artifacts of a task, newest first, each path of a node as the last attempt that told of it said.
func (s *Store) Artifacts(ctx context.Context, taskID string, limit int) ([]skalds.Artifact, error) {
	return decodeAll[skalds.Artifact](s.column(ctx, "list the artifacts of task "+taskID,
		`SELECT doc FROM (
			SELECT doc, at, epoch, attempt, name,
				ROW_NUMBER() OVER (PARTITION BY name, json_extract(doc, '$.node') ORDER BY epoch DESC, attempt DESC) AS said
			FROM outcomes WHERE task_id = ? AND kind = 'artifact'
		) WHERE said = 1 ORDER BY at DESC, epoch DESC, attempt DESC, name LIMIT ?`, taskID, orDefault(limit)))
}

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

// decodeAll reads documents as they come from column.
func decodeAll[T any](docs []string, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	values := make([]T, len(docs))
	for i, doc := range docs {
		if err := json.Unmarshal([]byte(doc), &values[i]); err != nil {
			return nil, fmt.Errorf("read a stored %T: %w", values[i], err)
		}
	}
	return values, nil
}
