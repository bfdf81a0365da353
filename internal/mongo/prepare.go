package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
)

// schema is that of the documents. It is raised when an older program would misread what this one writes.
const schema = 1

// storeMeta is what the database says about itself.
type storeMeta struct {
	Schema     int   `bson:"schema"`
	Generation int64 `bson:"generation"`
}

var storeKey = bson.D{{Key: "_id", Value: "store"}}

// prepare makes the indexes and the store's own document, where this Store has not seen them yet.
func (s *Store) prepare(ctx context.Context) error {
	if s.prepared.Load() {
		return nil
	}
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.prepared.Load() {
		return nil
	}
	var m storeMeta
	err := s.meta.FindOne(ctx, storeKey).Decode(&m)
	if errors.Is(err, driver.ErrNoDocuments) {
		m = storeMeta{Schema: schema, Generation: 1}
		_, err = s.meta.InsertOne(ctx, append(storeKey, bson.D{{Key: "schema", Value: m.Schema}, {Key: "generation", Value: m.Generation}}...))
		if driver.IsDuplicateKeyError(err) { // another controller came first
			err = s.meta.FindOne(ctx, storeKey).Decode(&m)
		}
	}
	if err != nil {
		return err
	}
	if m.Schema > schema {
		return skalds.Errorf(skalds.CodeConflict,
			"the database %q at %s was written by a newer version of skalds (schema %d, this one knows %d): upgrade skalds or choose another DB_NAME",
			s.cfg.Database, s.addr, m.Schema, schema)
	}
	for _, c := range s.indexes() {
		if _, err := c.collection.Indexes().CreateMany(ctx, c.models); err != nil {
			return err
		}
	}
	if err := s.warnOfOne(ctx); err != nil {
		return err
	}
	s.prepared.Store(true)
	return nil
}

// warnOfOne says it where the server keeps no second copy and knows no repeated writes. It works, but promises less.
func (s *Store) warnOfOne(ctx context.Context) error {
	var hello struct {
		Set string `bson:"setName"`
		Msg string `bson:"msg"` // isdbgrid: a router of a sharded cluster
	}
	err := s.client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	if err == nil && hello.Set == "" && hello.Msg == "" {
		s.log.Warn("MongoDB is no replica set: when its answer to a write is lost, the write fails though it may have been done; start it with --replSet and run rs.initiate(), be it the only member",
			"address", s.addr)
	}
	return err
}

// collectionIndexes are the indexes of a collection.
type collectionIndexes struct {
	collection *driver.Collection
	models     []driver.IndexModel
}

// indexes has one for every query that a loop or a page makes; that of tasks.id is the original's. DESIGN.md names the queries.
func (s *Store) indexes() []collectionIndexes {
	unique := options.Index().SetUnique(true)
	return []collectionIndexes{
		{s.tasks, []driver.IndexModel{
			{Keys: keys("id"), Options: unique},
			{Keys: keys("idempotencyKey"), Options: options.Index().SetUnique(true).SetSparse(true)},
			{Keys: newest},
			{Keys: keys("lifecycleStatus", "-priority", "createDateTime", "id")},
			{Keys: keys("className", "lifecycleStatus")},
			{Keys: keys("executor", "lifecycleStatus")},
			{Keys: keys("mode", "-createDateTime", "id")},
			{Keys: keys("labelPairs")},
			{Keys: keys("unacked", "createDateTime", "id")},
			{Keys: keys("endedAt", "id")},
		}},
		{s.outcomes, []driver.IndexModel{
			{Keys: keys("taskId", "kind", "epoch", "attempt", "name"), Options: unique},
			{Keys: keys("at", "taskId")},
		}},
		{s.audits, []driver.IndexModel{{Keys: keys("taskId", "-at", "-_id")}, {Keys: keys("-at", "-_id")}}},
		{s.usage, []driver.IndexModel{{Keys: keys("taskId", "hour"), Options: unique}, {Keys: keys("hour")}}},
		{s.profiles, []driver.IndexModel{{Keys: keys("className", "worker"), Options: unique}, {Keys: keys("updatedAt")}}},
	}
}

// newest is the order of lists.
var newest = keys("-createDateTime", "id")

// keys is an order by fields; those with a - are descending.
func keys(fields ...string) bson.D {
	var order bson.D
	for _, f := range fields {
		if f[0] == '-' {
			order = append(order, bson.E{Key: f[1:], Value: -1})
		} else {
			order = append(order, bson.E{Key: f, Value: 1})
		}
	}
	return order
}

// Generation is 1 in a new database.
func (s *Store) Generation(ctx context.Context) (int64, error) {
	var m storeMeta
	err := s.read(ctx, "read the store's generation", func(ctx context.Context) error {
		return s.meta.FindOne(ctx, storeKey).Decode(&m)
	})
	return m.Generation, err
}
