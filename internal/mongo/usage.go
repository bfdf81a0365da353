package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// PutUsage appends samples to the documents of their hours, each a piece of points.
func (s *Store) PutUsage(ctx context.Context, pieces []controller.TaskUsage) error {
	var writes []mongo.WriteModel
	for _, p := range pieces {
		points, hours := map[int64][]byte{}, []int64{}
		for _, sample := range p.Samples {
			hour := controller.UsageHour(sample.At)
			if points[hour] == nil {
				hours = append(hours, hour)
			}
			points[hour] = controller.AppendUsage(points[hour], sample)
		}
		for _, hour := range hours {
			writes = append(writes, mongo.NewUpdateOneModel().SetUpsert(true).
				SetFilter(bson.D{{Key: "_id", Value: key(p.TaskID, hour)}}).
				SetUpdate(bson.D{
					{Key: "$set", Value: bson.D{{Key: "taskId", Value: p.TaskID}, {Key: "hour", Value: hour}}},
					{Key: "$push", Value: bson.D{{Key: "pieces", Value: points[hour]}}},
				}))
		}
	}
	if len(writes) == 0 {
		return nil
	}
	return s.do(ctx, "keep what tasks took", func() error {
		_, err := s.usage.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
		return err
	})
}

// Usage reads the samples of a task.
func (s *Store) Usage(ctx context.Context, taskID string) (samples []skalds.UsageSample, err error) {
	samples = []skalds.UsageSample{}
	what := "read what task " + taskID + " took"
	type hour struct {
		Hour   int64    `bson:"hour"`
		Pieces [][]byte `bson:"pieces"`
	}
	var list []hour
	err = s.do(ctx, what, func() error {
		c, err := s.usage.Find(ctx, bson.D{{Key: "taskId", Value: taskID}}, options.Find().SetSort(bson.D{{Key: "hour", Value: 1}}))
		list, err = all(ctx, c, err, func(raw bson.Raw) (h hour, err error) { return h, bson.Unmarshal(raw, &h) })
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, h := range list {
		for _, points := range h.Pieces {
			if samples, err = controller.ReadUsage(samples, h.Hour, points); err != nil {
				return nil, fmt.Errorf("%s: hour %d: %w", what, h.Hour, err)
			}
		}
	}
	return controller.OrderUsage(samples), nil
}

// PruneUsage removes whole hours.
func (s *Store) PruneUsage(ctx context.Context, before int64) error {
	return s.do(ctx, "remove old usage", func() error {
		_, err := s.usage.DeleteMany(ctx, bson.D{{Key: "hour", Value: bson.D{{Key: "$lt", Value: controller.UsageHour(before)}}}})
		return err
	})
}
