package sqlite

import (
	"database/sql"
	"fmt"

	"github.com/skalds-go/skalds"
)

// migrations bring a file from schema i to i+1. Never edit one that has been released: append.
var migrations = []string{
	`
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta(key, value) VALUES ('generation', 1);
CREATE TABLE offsets (stream TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE tasks (
	id              TEXT PRIMARY KEY,
	folded_id       TEXT NOT NULL, -- lower case, for searches
	revision        INTEGER NOT NULL,
	state           TEXT NOT NULL,
	class_name      TEXT NOT NULL,
	executor        TEXT NOT NULL,
	mode            TEXT NOT NULL,
	priority        INTEGER NOT NULL,
	created_at      INTEGER NOT NULL,
	ended_at        INTEGER NOT NULL, -- 0 unless final
	queued          INTEGER NOT NULL, -- 1: Created and not quarantined
	unacked         INTEGER NOT NULL, -- 1: on a node that has not applied what is desired
	idempotency_key TEXT,
	doc             TEXT NOT NULL
);
CREATE INDEX tasks_newest ON tasks(created_at DESC, id);
CREATE INDEX tasks_state ON tasks(state, class_name);
CREATE INDEX tasks_class ON tasks(class_name, state);
CREATE INDEX tasks_executor ON tasks(executor, state) WHERE executor != '';
CREATE INDEX tasks_queue ON tasks(priority DESC, created_at, id) WHERE queued = 1;
CREATE INDEX tasks_unacked ON tasks(created_at, id) WHERE unacked = 1;
CREATE INDEX tasks_ended ON tasks(ended_at, id) WHERE ended_at > 0;
CREATE UNIQUE INDEX tasks_idempotency ON tasks(idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE outcomes (
	task_id TEXT NOT NULL,
	epoch   INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	kind    TEXT NOT NULL,
	name    TEXT NOT NULL,
	at      INTEGER NOT NULL, -- start of an attempt or artifact
	ended   INTEGER NOT NULL, -- 0: an attempt or artifact that is still open
	doc     TEXT NOT NULL,
	PRIMARY KEY (task_id, kind, epoch, attempt, name)
) WITHOUT ROWID;

CREATE TABLE audits (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	at      INTEGER NOT NULL,
	task_id TEXT NOT NULL,
	doc     TEXT NOT NULL
);
CREATE INDEX audits_task ON audits(task_id, seq) WHERE task_id != '';
CREATE INDEX audits_at ON audits(at);

CREATE TABLE nodes (id TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE workers (
	node_id TEXT NOT NULL,
	name    TEXT NOT NULL,
	version TEXT NOT NULL,
	digest  TEXT NOT NULL,
	doc     TEXT NOT NULL,
	PRIMARY KEY (node_id, name, version)
) WITHOUT ROWID;
`,
	`
CREATE TABLE usage (
	task_id TEXT NOT NULL,
	hour    INTEGER NOT NULL, -- hours since epoch
	points  BLOB NOT NULL,    -- see usage.go
	PRIMARY KEY (task_id, hour)
);
CREATE INDEX usage_hour ON usage(hour);

CREATE TABLE profiles (
	class_name TEXT NOT NULL,
	worker     TEXT NOT NULL, -- name@version
	updated_at INTEGER NOT NULL,
	doc        TEXT NOT NULL,
	PRIMARY KEY (class_name, worker)
) WITHOUT ROWID;
`,
}

// schemaVersion is the newest schema that this program knows.
func schemaVersion() int { return len(migrations) }

// migrate brings the file to the newest schema, one transaction per step.
func migrate(db *sql.DB, path string) error {
	var have int
	if err := db.QueryRow(`PRAGMA user_version`).Scan(&have); err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if have > schemaVersion() {
		return newerSchema(path, have)
	}
	for v := have; v < schemaVersion(); v++ {
		if err := step(db, v); err != nil {
			return fmt.Errorf("bring %s from schema %d to %d: %w", path, v, v+1, err)
		}
	}
	return nil
}

func step(db *sql.DB, from int) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if _, err := tx.Exec(migrations[from]); err != nil {
		return err
	}
	if _, err := tx.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, from+1)); err != nil {
		return err
	}
	return tx.Commit()
}

func newerSchema(path string, have int) error {
	return skalds.Errorf(skalds.CodeConflict,
		"%s was written by a newer version of skalds (schema %d, this one knows %d): upgrade skalds or choose another --data-dir",
		path, have, schemaVersion())
}
