package sqlite

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

const hourMillis = 3_600_000

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
			hour := sample.At / hourMillis
			i := len(rows) - 1
			if i < first || rows[i].hour != hour {
				rows = append(rows, row{taskID: p.TaskID, hour: hour})
				i++
			}
			rows[i].points = appendPoint(rows[i].points, sample)
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
		if samples, err = readPoints(samples, hour, points); err != nil {
			return nil, fmt.Errorf("%s: hour %d: %w", what, hour, err)
		}
	}
	slices.SortStableFunc(samples, func(a, b skalds.UsageSample) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(b.Span, a.Span))
	})
	samples = slices.CompactFunc(samples, func(a, b skalds.UsageSample) bool { return a.At == b.At && a.Span == b.Span })
	return samples, s.fault(what, rows.Err())
}

// PruneUsage removes whole hours.
func (s *Store) PruneUsage(ctx context.Context, before int64) error {
	for {
		removed := int64(0)
		err := s.write(ctx, "remove old usage", false, func(x *txn) (err error) {
			removed, err = x.exec(`DELETE FROM usage WHERE rowid IN (SELECT rowid FROM usage WHERE hour < ? LIMIT ?)`, before/hourMillis, 10*pruneChunk)
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

// A point is seven numbers as varints: ms within the hour, the span in ms, CPU in thousandths of a core, memory in KiB, the
// progress in hundredths of a percent, and by how much CPU and memory were above that at their peak. One that was measured
// once a minute takes about 15 bytes.

func appendPoint(b []byte, s skalds.UsageSample) []byte {
	cpu, memory := thousandths(s.Usage.CPUCores), kibibytes(s.Usage.MemoryBytes)
	b = binary.AppendUvarint(b, uint64(s.At%hourMillis))
	b = binary.AppendUvarint(b, uint64(max(s.Span, 0)))
	b = binary.AppendUvarint(b, cpu)
	b = binary.AppendUvarint(b, memory)
	b = binary.AppendUvarint(b, uint64(math.Round(max(s.Progress, 0)*100)))
	b = binary.AppendUvarint(b, max(thousandths(s.Peak.CPUCores), cpu)-cpu)
	return binary.AppendUvarint(b, max(kibibytes(s.Peak.MemoryBytes), memory)-memory)
}

func thousandths(cores float64) uint64 { return uint64(math.Round(max(cores, 0) * 1000)) }

func kibibytes(b int64) uint64 { return uint64(max(b, 0)+512) / 1024 }

var errPoint = errors.New("its samples are cut off")

func readPoints(samples []skalds.UsageSample, hour int64, b []byte) ([]skalds.UsageSample, error) {
	for len(b) > 0 {
		var v [7]uint64
		for i := range v {
			n := 0
			if v[i], n = binary.Uvarint(b); n <= 0 {
				return samples, errPoint
			}
			b = b[n:]
		}
		s := skalds.UsageSample{
			At: hour*hourMillis + int64(v[0]), Span: int64(v[1]), Progress: float64(v[4]) / 100,
			Usage: skalds.Usage{CPUCores: float64(v[2]) / 1000, MemoryBytes: int64(v[3]) << 10},
		}
		if s.Span > 0 {
			s.Peak = skalds.Usage{CPUCores: float64(v[2]+v[5]) / 1000, MemoryBytes: int64(v[3]+v[6]) << 10}
		}
		samples = append(samples, s)
	}
	return samples, nil
}
