package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// PutUsage adds samples to the documents of their hours. It is no transaction: what is put again after a failure stays once.
func (s *Store) PutUsage(ctx context.Context, pieces []controller.TaskUsage) error {
	type hourOf struct {
		taskID string
		hour   int64
	}
	points := map[hourOf]bson.A{}
	var order []hourOf
	for _, p := range pieces {
		for _, sample := range p.Samples {
			key := hourOf{p.TaskID, controller.UsageHour(sample.At)}
			if points[key] == nil {
				order = append(order, key)
			}
			points[key] = append(points[key], bson.Binary{Data: controller.AppendUsage(nil, sample)})
		}
	}
	models := make([]driver.WriteModel, len(order))
	for i, key := range order {
		models[i] = driver.NewUpdateOneModel().SetUpsert(true).
			SetFilter(bson.D{{Key: "taskId", Value: key.taskID}, {Key: "hour", Value: key.hour}}).
			SetUpdate(bson.D{{Key: "$addToSet", Value: bson.D{{Key: "points", Value: bson.D{{Key: "$each", Value: points[key]}}}}}})
	}
	return s.writeAll(ctx, "keep what tasks took", s.usage, models)
}

// Usage reads the samples of a task.
func (s *Store) Usage(ctx context.Context, taskID string) ([]skalds.UsageSample, error) {
	what := "read what task " + taskID + " took"
	docs, err := s.find(ctx, what, s.usage, bson.D{{Key: "taskId", Value: taskID}}, options.Find().SetSort(keys("hour")))
	if err != nil {
		return nil, err
	}
	samples := []skalds.UsageSample{}
	for _, doc := range docs {
		hour := integer(field(doc, "hour"))
		points, _ := field(doc, "points").(bson.A)
		for _, p := range points {
			b, _ := p.(bson.Binary)
			if samples, err = controller.ReadUsage(samples, hour, b.Data); err != nil {
				return nil, fmt.Errorf("%s: hour %d: %w", what, hour, err)
			}
		}
	}
	return controller.OrderUsage(samples), nil
}

// PruneUsage removes whole hours.
func (s *Store) PruneUsage(ctx context.Context, before int64) error {
	for {
		var ids bson.A
		err := s.write(ctx, "remove old usage", func(ctx context.Context) error {
			docs, err := findAll(ctx, s.usage, bson.D{{Key: "hour", Value: bson.D{{Key: "$lt", Value: controller.UsageHour(before)}}}},
				options.Find().SetSort(keys("hour")).SetLimit(writeChunk).SetProjection(bson.D{{Key: "_id", Value: 1}}))
			if err != nil || len(docs) == 0 {
				return err
			}
			for _, doc := range docs {
				ids = append(ids, field(doc, "_id"))
			}
			_, err = s.usage.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
	}
}
