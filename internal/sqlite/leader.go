package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

const readLeader = `SELECT value FROM meta WHERE key = 'leader'`

// Leader reads the lease of the controller that decides.
func (s *Store) Leader(ctx context.Context) (l controller.LeaderLease, err error) {
	var doc string
	err = s.readers.QueryRowContext(ctx, readLeader).Scan(&doc)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return l, nil
	case err == nil:
		err = json.Unmarshal([]byte(doc), &l)
	}
	return l, s.fault("read who leads", err)
}

// SaveLeader replaces the lease prev by next.
func (s *Store) SaveLeader(ctx context.Context, prev, next controller.LeaderLease) error {
	doc, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("write who leads: %w", err)
	}
	return s.write(ctx, "save who leads", true, func(x *txn) error {
		var now controller.LeaderLease
		var stored string
		found, err := x.row(readLeader, nil, &stored)
		if err == nil && found {
			err = json.Unmarshal([]byte(stored), &now)
		}
		if err != nil {
			return err
		}
		if now.Term != prev.Term || now.Renewal != prev.Renewal {
			return skalds.ErrRevision
		}
		_, err = x.exec(`INSERT INTO meta(key, value) VALUES('leader', ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value`, string(doc))
		return err
	})
}
