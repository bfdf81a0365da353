package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/skalds-go/skalds/controller"
)

var _ controller.Store = (*Store)(nil)

// Store keeps everything in one database. It is safe for concurrent use.
type Store struct {
	where  string // the addresses, without credentials
	log    hclog.Logger
	client *mongo.Client
	closed sync.Once

	tasks, outcomes, audits, nodes, workers, usage, profiles, meta *mongo.Collection

	turn    chan struct{} // holds one token: whoever makes the indexes
	indexed atomic.Bool
}

// Open checks the configuration; the server is asked when the store is first used, and need not be there before. A nil log is
// silent.
func Open(cfg Config, log hclog.Logger) (*Store, error) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	u, err := cfg.parsed()
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(cfg.options())
	if err != nil {
		return nil, fmt.Errorf("open MongoDB at %s: %w", strings.Join(u.Hosts, ","), withoutSecrets(err))
	}
	name := cfg.Database
	if name == "" {
		name = DefaultDatabase
	}
	db := client.Database(name)
	return &Store{
		turn: make(chan struct{}, 1), where: strings.Join(u.Hosts, ","), log: log.Named("mongo"), client: client,
		tasks: db.Collection("tasks"), outcomes: db.Collection("outcomes"), audits: db.Collection("audits"), nodes: db.Collection("nodes"),
		workers: db.Collection("workers"), usage: db.Collection("usage"), profiles: db.Collection("profiles"), meta: db.Collection("meta"),
	}, nil
}

// ready makes the indexes once: without them an id could be given twice. Nobody waits longer than their context for who is at it.
func (s *Store) ready(ctx context.Context) error {
	if s.indexed.Load() {
		return nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.indexed.Load() {
		return nil
	}
	for c, models := range s.indexes() {
		if _, err := c.Indexes().CreateMany(ctx, models); err != nil {
			return fmt.Errorf("make the indexes of %s: %w", c.Name(), err)
		}
	}
	s.indexed.Store(true)
	return nil
}

// do runs an operation on the database, which is ready, and says what failed.
func (s *Store) do(ctx context.Context, what string, fn func() error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return s.fault(what, err)
	}
	return s.fault(what, fn())
}

// Ping asks the primary.
func (s *Store) Ping(ctx context.Context) error {
	return s.fault("ask the store", s.client.Ping(ctx, readpref.Primary()))
}

// closeTimeout is how long operations under way may take at the end.
const closeTimeout = 2 * time.Second

// Close drops the connections. Safe to call twice.
func (s *Store) Close() (err error) {
	s.closed.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err = s.client.Disconnect(ctx); errors.Is(err, mongo.ErrClientDisconnected) || errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
	})
	return err
}

// all reads what a cursor brings.
func all[T any](ctx context.Context, c *mongo.Cursor, err error, decode func(bson.Raw) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close(ctx) }() // c.Err reports
	list := []T{}
	for c.Next(ctx) {
		v, err := decode(c.Current)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, c.Err()
}

// Drop removes the whole database: for tests.
func Drop(ctx context.Context, cfg Config) error {
	s, err := Open(cfg, nil)
	if err != nil {
		return err
	}
	err = s.tasks.Database().Drop(ctx)
	return errors.Join(s.fault("drop the database", err), s.Close())
}
