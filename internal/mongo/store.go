package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

var _ controller.Store = (*Store)(nil)

// Store keeps everything in one database of MongoDB. It is safe for concurrent use, by several controllers too. Reads see every
// write that has returned.
type Store struct {
	cfg    Config
	addr   string // to show
	log    hclog.Logger
	client *driver.Client

	tasks, outcomes, audits, nodes, workers, offsets, meta *driver.Collection
	usage, profiles                                        *driver.Collection // what may be lost: see DESIGN.md

	preparing chan struct{} // held by whoever prepares the database
	prepared  atomic.Bool
	failing   atomic.Bool // the last write found the server away
	unread    unread
	close     sync.Once
}

// Open makes a Store. It connects to nothing: the first call does, and makes the indexes; until the server is there every call
// fails with skalds.CodeUnavailable. It fails only where cfg cannot be used. A nil log is silent.
func Open(cfg Config, log hclog.Logger) (*Store, error) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if cfg.Database == "" {
		cfg.Database = DefaultDatabase
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	o, err := cfg.client()
	if err != nil {
		return nil, err
	}
	client, err := driver.Connect(o)
	if err != nil {
		return nil, skalds.Errorf(skalds.CodeInvalid, "%s cannot be used to reach MongoDB: %v", MaskURI(cfg.URI), err)
	}
	s := &Store{cfg: cfg, addr: strings.Join(o.Hosts, ","), log: log.Named("mongo"), client: client, preparing: make(chan struct{}, 1)}
	db := client.Database(cfg.Database)
	for name, c := range map[string]**driver.Collection{
		"tasks": &s.tasks, "outcomes": &s.outcomes, "audits": &s.audits, "nodes": &s.nodes, "workers": &s.workers,
		"offsets": &s.offsets, "meta": &s.meta,
	} {
		*c = db.Collection(name)
	}
	light := options.Collection().SetWriteConcern(writeconcern.W1()).SetReadConcern(readconcern.Local())
	s.usage, s.profiles = db.Collection("usage", light), db.Collection("profiles", light)
	return s, nil
}

// Ping asks the primary and, where the last write found nobody who takes it, writes.
func (s *Store) Ping(ctx context.Context) error {
	if s.failing.Load() {
		return s.write(ctx, "ask the store", func(ctx context.Context) error {
			_, err := s.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: "probe"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}},
				options.UpdateOne().SetUpsert(true))
			if driver.IsDuplicateKeyError(err) {
				return nil // another controller was first: the server takes writes
			}
			return err
		})
	}
	return s.read(ctx, "ask the store", func(ctx context.Context) error { return s.client.Ping(ctx, nil) })
}

// Close ends the connections. Safe to call twice; what is called afterwards fails.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
		defer cancel()
		if err = s.client.Disconnect(ctx); err != nil {
			err = fmt.Errorf("close the connections to MongoDB at %s: %w", s.addr, err)
		}
	})
	return err
}

// read runs fn within the store's time-out, once the database is prepared.
func (s *Store) read(ctx context.Context, what string, fn func(context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	err := s.prepare(inner)
	if err == nil {
		err = fn(inner)
	}
	return s.fault(ctx, what, err)
}

// write is read for what changes something.
func (s *Store) write(ctx context.Context, what string, fn func(context.Context) error) error {
	err := s.read(ctx, what, fn)
	switch {
	case err == nil:
		s.failing.Store(false)
	case errors.Is(err, skalds.ErrUnavailable):
		s.failing.Store(true)
	}
	return err
}
