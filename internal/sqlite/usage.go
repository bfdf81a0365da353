package sqlite

import (
	"context"
	"fmt"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// PutUsage appends samples to the rows of their hours.
func (s *Store) PutUsage(ctx context.Context, pieces []controller.TaskUsage) error {
	type row struct {
		taskID string
		hour   int64
		points []byte
	}
	var rows []row
	for _, p := range pieces {
		first := len(rows)
		for _, sample := range p.Samples {
			hour := controller.UsageHour(sample.At)
			i := len(rows) - 1
			if i < first || rows[i].hour != hour {
				rows = append(rows, row{taskID: p.TaskID, hour: hour})
				i++
			}
			rows[i].points = controller.AppendUsage(rows[i].points, sample)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return s.write(ctx, "keep what tasks took", false, func(x *txn) error {
		for i := range rows {
			if _, err := x.exec(`INSERT INTO usage(task_id, hour, points) VALUES(?,?,?)
				ON CONFLICT(task_id, hour) DO UPDATE SET points = CAST(points || excluded.points AS BLOB)`,
				rows[i].taskID, rows[i].hour, rows[i].points); err != nil {
				return err
			}
		}
		return nil
	})
}

// Usage reads the samples of a task.
func (s *Store) Usage(ctx context.Context, taskID string) ([]skalds.UsageSample, error) {
	what := "read what task " + taskID + " took"
	rows, err := s.readers.QueryContext(ctx, `SELECT hour, points FROM usage WHERE task_id = ? ORDER BY hour`, taskID)
	if err != nil {
		return nil, s.fault(what, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports
	samples := []skalds.UsageSample{}
	for rows.Next() {
		var hour int64
		var points []byte
		if err := rows.Scan(&hour, &points); err != nil {
			return nil, s.fault(what, err)
		}
		if samples, err = controller.ReadUsage(samples, hour, points); err != nil {
			return nil, fmt.Errorf("%s: hour %d: %w", what, hour, err)
		}
	}
	samples = controller.OrderUsage(samples)
	return samples, s.fault(what, rows.Err())
}

// PruneUsage removes whole hours.
func (s *Store) PruneUsage(ctx context.Context, before int64) error {
	for {
		removed := int64(0)
		err := s.write(ctx, "remove old usage", false, func(x *txn) (err error) {
			removed, err = x.exec(`DELETE FROM usage WHERE rowid IN (SELECT rowid FROM usage WHERE hour < ? LIMIT ?)`, controller.UsageHour(before), 10*pruneChunk)
			if err == nil {
				_, err = x.exec(`PRAGMA incremental_vacuum(1000)`)
			}
			return err
		})
		if err != nil || removed == 0 {
			return err
		}
	}
}
