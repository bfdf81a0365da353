package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
)

// column reads a query's only column.
func (s *Store) column(ctx context.Context, what, query string, args ...any) ([]string, error) {
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.fault(what, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports
	values := []string{}
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, s.fault(what, err)
		}
		values = append(values, v)
	}
	return values, s.fault(what, rows.Err())
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
