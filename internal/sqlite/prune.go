package sqlite

import "context"

// pruneChunk bounds how many tasks one transaction removes, so that other writes get their turn.
const pruneChunk = 100

// Prune removes final tasks that ended before the time (ms) and, where keep is positive, the oldest final ones beyond keep,
// with their outcomes, audit entries and usage. Records whose task has been gone for as long go too.
func (s *Store) Prune(ctx context.Context, before int64, keep int) ([]string, error) {
	removed := []string{}
	for {
		ids, err := s.column(ctx, "list ended tasks", `SELECT id FROM tasks WHERE ended_at > 0 AND ended_at < ? ORDER BY ended_at, id LIMIT ?`, before, pruneChunk)
		if err == nil && len(ids) == 0 && keep > 0 {
			ids, err = s.column(ctx, "list ended tasks", `SELECT id FROM tasks WHERE ended_at > 0 ORDER BY ended_at, id
				LIMIT min(?, max(0, (SELECT count(*) FROM tasks WHERE ended_at > 0) - ?))`, pruneChunk, keep)
		}
		if err != nil {
			return removed, err
		}
		if len(ids) == 0 {
			break
		}
		gone, err := s.remove(ctx, ids)
		removed = append(removed, gone...)
		if err != nil {
			return removed, err
		}
	}
	err := s.write(ctx, "remove old records", false, func(x *txn) error {
		if _, err := x.exec(`DELETE FROM audits WHERE at < ? AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = task_id)`, before); err != nil {
			return err
		}
		_, err := x.exec(`DELETE FROM outcomes WHERE at < ? AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = task_id)`, before)
		return err
	})
	return removed, err
}

// remove takes tasks away that are still final, and returns which.
func (s *Store) remove(ctx context.Context, ids []string) (removed []string, err error) {
	err = s.write(ctx, "remove ended tasks", false, func(x *txn) error {
		removed = removed[:0]
		for _, id := range ids {
			n, err := x.exec(`DELETE FROM tasks WHERE id = ? AND ended_at > 0`, id)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // retried in between
			}
			if _, err := x.exec(`DELETE FROM outcomes WHERE task_id = ?`, id); err != nil {
				return err
			}
			if _, err := x.exec(`DELETE FROM usage WHERE task_id = ?`, id); err != nil {
				return err
			}
			if _, err := x.exec(`DELETE FROM audits WHERE task_id = ? AND task_id != ''`, id); err != nil {
				return err
			}
			removed = append(removed, id)
		}
		_, err := x.exec(`PRAGMA incremental_vacuum(1000)`)
		return err
	})
	return removed, err
}
