package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/hashicorp/go-hclog"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/skalds-go/skalds/controller"
)

var _ controller.Store = (*Store)(nil)

// Store keeps everything in one file. It is safe for concurrent use. Reads see every write that has returned.
type Store struct {
	path    string
	log     hclog.Logger
	readers *sql.DB
	writer  *writer
	close   sync.Once
}

// Open opens the file at path, making it where there is none and bringing an older one up to date; the folder must exist.
// It refuses a file that a newer version of skalds has written. A nil log is silent.
func Open(path string, log hclog.Logger) (*Store, error) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	s := &Store{path: abs, log: log.Named("sqlite")}
	keepToOwner(abs)
	db, err := sql.Open("sqlite", dsn(abs, "_auto_vacuum=INCREMENTAL&_journal_mode=WAL&_synchronous=FULL"))
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	if err := migrate(db, abs); err != nil {
		return nil, errors.Join(s.fault("open the store", err), db.Close())
	}
	if err := startEpoch(db, s.log); err != nil {
		return nil, errors.Join(s.fault("open the store", err), db.Close())
	}
	s.readers, err = sql.Open("sqlite", dsn(abs, "_query_only=true"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store %s: %w", path, err), db.Close())
	}
	readers := max(4, runtime.NumCPU())
	s.readers.SetMaxOpenConns(readers)
	s.readers.SetMaxIdleConns(readers)
	s.writer = newWriter(db)
	return s, nil
}

// keepToOwner makes the file one that only its owner reads, before there is anything in it; sqlite's own files beside it follow.
// The folder may have to be open to users under which tasks run. Where it fails, sqlite says what is wrong.
func keepToOwner(path string) {
	if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil { // closing one that is in use would drop its locks
		_ = f.Close()
		return
	}
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		_ = os.Chmod(file, 0o600)
	}
}

// dsn names the file so that no character of its path is taken for a parameter.
func dsn(path, params string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_busy_timeout=5000&_foreign_keys=false&" + params}
	return u.String()
}

// Ping reads from the file and, where the last write has failed, writes to it.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.readers.QueryRowContext(ctx, `SELECT 1`).Scan(&one); err != nil {
		return s.fault("ask the store", err)
	}
	if !s.writer.failing() {
		return nil
	}
	return s.write(ctx, "ask the store", false, func(t *txn) error {
		_, err := t.exec(`INSERT INTO meta(key, value) VALUES('probe', 1) ON CONFLICT(key) DO UPDATE SET value = value + 1`)
		return err
	})
}

// Close writes what is waiting and closes the file. Safe to call twice; what is called afterwards fails.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		err = errors.Join(s.writer.close(), s.readers.Close())
	})
	return err
}

// write runs fn in a transaction, which it may share with the writes of others, and returns after the commit. durable
// asks for full synchronisation. fn may be run twice; it must return errors of its own before it has changed anything.
func (s *Store) write(ctx context.Context, what string, durable bool, fn func(*txn) error) error {
	return s.fault(what, s.writer.submit(ctx, durable, fn))
}
