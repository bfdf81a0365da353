package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds/controller"
)

// Audit keeps an entry.
func (s *Store) Audit(ctx context.Context, e controller.AuditEntry) error {
	doc, err := with(bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "at", Value: e.At}, {Key: "taskId", Value: e.TaskID}}, e)
	if err != nil {
		return fmt.Errorf("write an audit entry: %w", err)
	}
	return s.write(ctx, "keep an audit entry", func(ctx context.Context) error {
		_, err := s.audits.InsertOne(ctx, doc)
		if driver.IsDuplicateKeyError(err) {
			return nil // ours: the driver has sent it twice, because the first answer was lost
		}
		return err
	})
}

// Audits lists the newest entries of a task ("" = of everything), newest first.
func (s *Store) Audits(ctx context.Context, taskID string, limit int) ([]controller.AuditEntry, error) {
	where := bson.D{}
	if taskID != "" {
		where = bson.D{{Key: "taskId", Value: taskID}}
	}
	return contents[controller.AuditEntry](s.find(ctx, "list audit entries", s.audits, where,
		options.Find().SetSort(keys("-at", "-_id")).SetLimit(int64(orDefault(limit)))))
}
