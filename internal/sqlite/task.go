package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/skalds-go/skalds"
)

// Create inserts t with Revision 1. It returns the earlier task and false where t's idempotency key is known.
func (s *Store) Create(ctx context.Context, t *skalds.Task) (*skalds.Task, bool, error) {
	stored := t.Clone()
	stored.Revision = 1
	doc, err := json.Marshal(stored)
	if err != nil {
		return nil, false, fmt.Errorf("write task %s: %w", t.ID, err)
	}
	var earlier string
	err = s.write(ctx, "create task "+t.ID, true, func(x *txn) error {
		earlier = ""
		if t.IdempotencyKey != "" {
			found, err := x.row(`SELECT doc FROM tasks WHERE idempotency_key = ?`, []any{t.IdempotencyKey}, &earlier)
			if err != nil || found {
				return err
			}
		}
		n, err := x.exec(`INSERT INTO tasks(revision, folded_id, state, class_name, executor, mode, priority, created_at, ended_at,
			queued, unacked, doc, id, idempotency_key) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`,
			append(columns(stored, doc), t.ID, sql.NullString{String: t.IdempotencyKey, Valid: t.IdempotencyKey != ""})...)
		if err == nil && n == 0 {
			return skalds.Errorf(skalds.CodeConflict, "there is a task %q already", t.ID)
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if earlier == "" {
		t.Revision = 1
		return stored, true, nil
	}
	stored, err = decodeTask(earlier)
	return stored, false, err
}

// Save stores t if its revision is the stored one, and raises it.
func (s *Store) Save(ctx context.Context, t *skalds.Task) error {
	next := *t
	next.Revision++
	doc, err := json.Marshal(&next)
	if err != nil {
		return fmt.Errorf("write task %s: %w", t.ID, err)
	}
	args := append(columns(&next, doc), t.ID, t.Revision)
	err = s.write(ctx, "save task "+t.ID, t.LifecycleStatus.Final(), func(x *txn) error {
		n, err := x.exec(`UPDATE tasks SET revision = ?, folded_id = ?, state = ?, class_name = ?, executor = ?, mode = ?, priority = ?,
			created_at = ?, ended_at = ?, queued = ?, unacked = ?, doc = ? WHERE id = ? AND revision = ?`, args...)
		if err != nil || n == 1 {
			return err
		}
		var stored int64
		found, err := x.row(`SELECT revision FROM tasks WHERE id = ?`, []any{next.ID}, &stored)
		switch {
		case err != nil:
			return err
		case !found:
			return noTask(next.ID)
		default:
			return fmt.Errorf("save task %s: %w (from %d to %d)", next.ID, skalds.ErrRevision, next.Revision-1, stored)
		}
	})
	if err == nil {
		t.Revision = next.Revision
	}
	return err
}

// columns are the searched parts of a task, in the order of the statements above.
func columns(t *skalds.Task, doc []byte) []any {
	ended := int64(0)
	if t.LifecycleStatus.Final() {
		if ended = t.EndedAt; ended == 0 {
			ended = max(t.UpdateDateTime, 1)
		}
	}
	return []any{
		t.Revision, strings.ToLower(t.ID), string(t.LifecycleStatus), t.ClassName, t.Executor, string(t.Mode), t.Priority,
		t.CreateDateTime, ended, t.LifecycleStatus == skalds.Created && t.Quarantined == "",
		t.Executor != "" && t.AckedRevision < t.DesiredRevision, string(doc),
	}
}

// Task reads one task.
func (s *Store) Task(ctx context.Context, id string) (*skalds.Task, error) {
	var doc string
	err := s.readers.QueryRowContext(ctx, `SELECT doc FROM tasks WHERE id = ?`, id).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noTask(id)
	}
	if err != nil {
		return nil, s.fault("read task "+id, err)
	}
	return decodeTask(doc)
}

func noTask(id string) error { return skalds.Errorf(skalds.CodeNotFound, "there is no task %q", id) }

func decodeTask(doc string) (*skalds.Task, error) {
	t := &skalds.Task{}
	if err := json.Unmarshal([]byte(doc), t); err != nil {
		return nil, fmt.Errorf("read a stored task: %w", err)
	}
	return t, nil
}
