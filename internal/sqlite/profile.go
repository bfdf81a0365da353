package sqlite

import (
	"context"

	"github.com/skalds-go/skalds/controller"
)

// SaveProfiles inserts or replaces.
func (s *Store) SaveProfiles(ctx context.Context, profiles []controller.StoredProfile) error {
	if len(profiles) == 0 {
		return nil
	}
	return s.write(ctx, "keep what was learned about workers", false, func(x *txn) error {
		for _, p := range profiles {
			if _, err := x.exec(`INSERT INTO profiles(class_name, worker, updated_at, doc) VALUES(?,?,?,?)
				ON CONFLICT DO UPDATE SET updated_at = excluded.updated_at, doc = excluded.doc`,
				p.ClassName, p.Worker, p.UpdatedAt, string(p.Doc)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Profiles lists all of them.
func (s *Store) Profiles(ctx context.Context) ([]controller.StoredProfile, error) {
	const what = "read what was learned about workers"
	rows, err := s.readers.QueryContext(ctx, `SELECT class_name, worker, updated_at, doc FROM profiles ORDER BY class_name, worker`)
	if err != nil {
		return nil, s.fault(what, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports
	profiles := []controller.StoredProfile{}
	for rows.Next() {
		var p controller.StoredProfile
		var doc string
		if err := rows.Scan(&p.ClassName, &p.Worker, &p.UpdatedAt, &doc); err != nil {
			return nil, s.fault(what, err)
		}
		p.Doc = []byte(doc)
		profiles = append(profiles, p)
	}
	return profiles, s.fault(what, rows.Err())
}

// PruneProfiles removes those that nothing was added to since the time (ms).
func (s *Store) PruneProfiles(ctx context.Context, before int64) error {
	return s.write(ctx, "remove what was learned long ago", false, func(x *txn) error {
		_, err := x.exec(`DELETE FROM profiles WHERE updated_at < ?`, before)
		return err
	})
}
