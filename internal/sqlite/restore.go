package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

var _ controller.RestoreStore = (*Store)(nil)

// Snapshot copies the store at path to a new file, as it is at one moment, while a program may be using it. The file at to must not exist.
// A store that a newer version of skalds has written is refused; an older one is copied as it is.
func Snapshot(ctx context.Context, path, to string) (err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("copy the store %s: %w", path, err)
	}
	s := &Store{path: abs}
	if _, err := os.Stat(abs); errors.Is(err, os.ErrNotExist) {
		return skalds.Errorf(skalds.CodeNotFound, "there is no store at %s: name the data folder of a standalone or controller", abs)
	} else if err != nil {
		return fmt.Errorf("copy the store %s: %w", path, err)
	}
	made, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // SQLite would let others read it
	if err != nil {
		return fmt.Errorf("copy the store %s: %w", path, err)
	}
	if err := made.Close(); err != nil {
		return fmt.Errorf("copy the store %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", dsn(abs, "mode=rw"))
	if err != nil {
		return fmt.Errorf("copy the store %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var have int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return s.fault("copy the store", err)
	}
	if have > schemaVersion() {
		return newerSchema(abs, have)
	}
	if have == 0 {
		return skalds.Errorf(skalds.CodeInvalid, "%s is no store of skalds, or one that was never used", abs)
	}
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, to); err != nil {
		return s.fault("copy the store to "+to, err)
	}
	return nil
}

// Clear removes everything but the generation and the leader's lease, in one transaction.
func (s *Store) Clear(ctx context.Context) error {
	return s.write(ctx, "empty the store", true, func(x *txn) error {
		for _, table := range []string{"tasks", "outcomes", "audits", "nodes", "workers", "usage", "profiles", "offsets"} {
			if _, err := x.exec(`DELETE FROM ` + table); err != nil {
				return err
			}
		}
		return nil
	})
}

// RaiseGeneration makes the generation higher than it was and higher than above.
func (s *Store) RaiseGeneration(ctx context.Context, above int64) (int64, error) {
	err := s.write(ctx, "raise the store's generation", true, func(x *txn) error {
		_, err := x.exec(`UPDATE meta SET value = max(value, ?) + 1 WHERE key = 'generation'`, above)
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.Generation(ctx)
}
