package sqlite

import (
	"context"
	"database/sql"

	"github.com/hashicorp/go-hclog"
)

// The generation orders commands before epochs do. It is raised when a backup is restored, and when the machine itself
// went down without the store having been closed: a power cut may have taken the last changes that were not written with
// full synchronisation, and with them epochs that hosts have seen.

// startEpoch compares the boot under which the file was used last with this one.
func startEpoch(db *sql.DB, log hclog.Logger) error {
	boot := bootID()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	var lastBoot string
	err = tx.QueryRow(`SELECT value FROM meta WHERE key = 'open_under_boot'`).Scan(&lastBoot)
	if err != nil && err != sql.ErrNoRows {
		return err
	}
	if lastBoot != "" && boot != "" && lastBoot != boot {
		log.Warn("the machine went down while the store was open: older commands no longer count")
		if _, err := tx.Exec(`UPDATE meta SET value = value + 1 WHERE key = 'generation'`); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`INSERT INTO meta(key, value) VALUES('open_under_boot', ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value`, boot); err != nil {
		return err
	}
	return tx.Commit()
}

// markClean notes that nothing is left to be lost.
func markClean(db *sql.DB) error {
	if _, err := db.Exec(`PRAGMA synchronous = FULL`); err != nil {
		return err
	}
	_, err := db.Exec(`UPDATE meta SET value = '' WHERE key = 'open_under_boot'`)
	return err
}

// Generation is 1 in a new file.
func (s *Store) Generation(ctx context.Context) (int64, error) {
	var g int64
	err := s.readers.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'generation'`).Scan(&g)
	return g, s.fault("read the store's generation", err)
}
