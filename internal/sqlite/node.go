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

// SaveNode inserts or replaces a node.
func (s *Store) SaveNode(ctx context.Context, n skalds.Node) error {
	before := n.Revision
	n.Revision++
	doc, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("write node %s: %w", n.ID, err)
	}
	return s.write(ctx, "save node "+n.ID, false, func(x *txn) error {
		var stored string
		var now skalds.Node
		found, err := x.row(`SELECT doc FROM nodes WHERE id = ?`, []any{n.ID}, &stored)
		if err == nil && found {
			err = json.Unmarshal([]byte(stored), &now)
		}
		if err != nil {
			return err
		}
		if now.Revision != before {
			return skalds.ErrRevision
		}
		_, err = x.exec(`INSERT INTO nodes(id, doc) VALUES(?,?) ON CONFLICT(id) DO UPDATE SET doc = excluded.doc`, n.ID, string(doc))
		return err
	})
}

// DeleteNode removes a node and its workers.
func (s *Store) DeleteNode(ctx context.Context, id string, revision int64) error {
	return s.write(ctx, "delete node "+id, false, func(x *txn) error {
		var stored string
		found, err := x.row(`SELECT doc FROM nodes WHERE id = ?`, []any{id}, &stored)
		if err != nil {
			return err
		}
		if found {
			var now skalds.Node
			if err := json.Unmarshal([]byte(stored), &now); err != nil {
				return err
			}
			if now.Revision != revision {
				return skalds.ErrRevision
			}
		}
		if _, err := x.exec(`DELETE FROM nodes WHERE id = ?`, id); err != nil {
			return err
		}
		_, err = x.exec(`DELETE FROM workers WHERE node_id = ?`, id)
		return err
	})
}

// Nodes lists all nodes, sorted by id.
func (s *Store) Nodes(ctx context.Context) ([]skalds.Node, error) {
	return decodeAll[skalds.Node](s.column(ctx, "list nodes", `SELECT doc FROM nodes ORDER BY id`))
}

// SaveWorkers replaces the node's set.
func (s *Store) SaveWorkers(ctx context.Context, nodeID string, workers []skalds.WorkerInfo) error {
	docs := make([]string, len(workers))
	for i := range workers {
		b, err := json.Marshal(&workers[i])
		if err != nil {
			return fmt.Errorf("write worker %s: %w", workers[i].Ref(), err)
		}
		docs[i] = string(b)
	}
	return s.write(ctx, "save the workers of node "+nodeID, false, func(x *txn) error {
		if _, err := x.exec(`DELETE FROM workers WHERE node_id = ?`, nodeID); err != nil {
			return err
		}
		for i := range workers {
			w := &workers[i]
			if _, err := x.exec(`INSERT OR REPLACE INTO workers(node_id, name, version, digest, doc) VALUES(?,?,?,?,?)`,
				nodeID, w.Name, w.Version, w.Digest, docs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Workers lists every plugin once per digest, sorted by name and version, with the nodes that have it.
func (s *Store) Workers(ctx context.Context) ([]controller.WorkerOnNodes, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT node_id, name, version, digest, doc FROM workers ORDER BY name, version, digest, node_id`)
	if err != nil {
		return nil, s.fault("list workers", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports
	workers := []controller.WorkerOnNodes{}
	for rows.Next() {
		var node, name, version, digest, doc string
		if err := rows.Scan(&node, &name, &version, &digest, &doc); err != nil {
			return nil, s.fault("list workers", err)
		}
		if n := len(workers); n > 0 && workers[n-1].Name == name && workers[n-1].Version == version && workers[n-1].Digest == digest {
			workers[n-1].Nodes = append(workers[n-1].Nodes, node)
			continue
		}
		w := controller.WorkerOnNodes{Nodes: []string{node}}
		if err := json.Unmarshal([]byte(doc), &w.WorkerInfo); err != nil {
			return nil, fmt.Errorf("read worker %s@%s of node %s: %w", name, version, node, err)
		}
		workers = append(workers, w)
	}
	return workers, s.fault("list workers", rows.Err())
}

// SaveOffset keeps how far a stream has been applied.
func (s *Store) SaveOffset(ctx context.Context, stream, offset string) error {
	return s.write(ctx, "save the offset of "+stream, false, func(x *txn) error {
		_, err := x.exec(`INSERT INTO offsets(stream, value) VALUES(?,?) ON CONFLICT(stream) DO UPDATE SET value = excluded.value`, stream, offset)
		return err
	})
}

// Offset reads it; "" where none was saved.
func (s *Store) Offset(ctx context.Context, stream string) (string, error) {
	var v string
	err := s.readers.QueryRowContext(ctx, `SELECT value FROM offsets WHERE stream = ?`, stream).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, s.fault("read the offset of "+stream, err)
}
