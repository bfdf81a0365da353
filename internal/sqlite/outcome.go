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
		value, at, ended, err := controller.OutcomeContent(o)
		if err != nil {
			return err
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
