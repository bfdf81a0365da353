package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// find reads documents within the store's time-out.
func (s *Store) find(ctx context.Context, what string, c *driver.Collection, where bson.D, opts *options.FindOptionsBuilder) (docs []bson.D, err error) {
	err = s.read(ctx, what, func(ctx context.Context) error {
		docs, err = findAll(ctx, c, where, opts)
		return err
	})
	return docs, err
}

// findAll reads documents within what is left of ctx.
func findAll(ctx context.Context, c *driver.Collection, filter bson.D, opts ...options.Lister[options.FindOptions]) ([]bson.D, error) {
	cursor, err := c.Find(ctx, filter, opts...)
	if err != nil {
		return nil, err
	}
	docs := []bson.D{}
	err = cursor.All(ctx, &docs)
	return docs, err
}
