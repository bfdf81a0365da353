package mongo

import (
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// indexes are one for every query that a loop or a page makes.
func (s *Store) indexes() map[*mongo.Collection][]mongo.IndexModel {
	up := func(name string, keys ...string) mongo.IndexModel {
		d := bson.D{}
		for _, k := range keys {
			if k[0] == '-' {
				d = append(d, bson.E{Key: k[1:], Value: -1})
			} else {
				d = append(d, bson.E{Key: k, Value: 1})
			}
		}
		return mongo.IndexModel{Keys: d, Options: options.Index().SetName(name)}
	}
	unique := func(m mongo.IndexModel, sparse bool) mongo.IndexModel {
		m.Options.SetUnique(true)
		if sparse {
			m.Options.SetSparse(true)
		}
		return m
	}
	sparse := func(m mongo.IndexModel) mongo.IndexModel {
		m.Options.SetSparse(true)
		return m
	}
	return map[*mongo.Collection][]mongo.IndexModel{
		s.tasks: {
			unique(up("id_1", fieldID), false), // as the original makes it
			unique(up("idempotency", fieldIdempotency), true),
			up("newest", "-"+fieldCreated, fieldID),
			up("state", fieldState, "-"+fieldCreated, fieldID),
			up("class", fieldClass, fieldState, "-"+fieldCreated, fieldID),
			up("executor", fieldExecutor, fieldState, fieldCreated, fieldID),
			up("mode", fieldMode, "-"+fieldCreated, fieldID),
			up("queue", fieldState, "-"+fieldPriority, fieldCreated, fieldID),
			sparse(up("labels", fieldLabelPairs)),
			sparse(up("unacked", fieldUnacked, fieldCreated, fieldID)),
			up("ended", fieldState, fieldEnded),
			sparse(up("retained", fieldEnded, fieldID)),
		},
		s.outcomes: {up("task", "taskId", "kind", "epoch", "attempt"), up("at", "at")},
		s.audits:   {up("task", "taskId", "-at", "-_id"), up("at", "-at", "-_id")},
		s.usage:    {up("task", "taskId", "hour"), up("hour", "hour")},
		s.profiles: {up("updated", "updatedAt")},
	}
}
