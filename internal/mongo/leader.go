package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// leaderDoc is a lease in the collection "meta".
type leaderDoc struct {
	ID      string `bson:"_id,omitempty"`
	Owner   string `bson:"owner"`
	Term    int64  `bson:"term"`
	Renewal int64  `bson:"renewal"`
	Length  int64  `bson:"lengthMs"`
}

// Leader reads the lease of the controller that decides.
func (s *Store) Leader(ctx context.Context) (controller.LeaderLease, error) {
	var d leaderDoc
	if found, err := s.read(ctx, "read who leads", metaLeader, &d); err != nil || !found {
		return controller.LeaderLease{}, err
	}
	return controller.LeaderLease{Owner: d.Owner, Term: d.Term, Renewal: d.Renewal, Length: time.Duration(d.Length) * time.Millisecond}, nil
}

// SaveLeader replaces the lease prev by next.
func (s *Store) SaveLeader(ctx context.Context, prev, next controller.LeaderLease) error {
	doc := leaderDoc{Owner: next.Owner, Term: next.Term, Renewal: next.Renewal, Length: next.Length.Milliseconds()}
	return s.do(ctx, "save who leads", func() error {
		if prev == (controller.LeaderLease{}) {
			doc.ID = metaLeader
			_, err := s.meta.InsertOne(ctx, doc)
			if mongo.IsDuplicateKeyError(err) {
				return skalds.ErrRevision
			}
			return err
		}
		r, err := s.meta.ReplaceOne(ctx, bson.D{{Key: "_id", Value: metaLeader}, {Key: "term", Value: prev.Term}, {Key: "renewal", Value: prev.Renewal}}, doc)
		if err == nil && r.MatchedCount == 0 {
			err = skalds.ErrRevision
		}
		return err
	})
}
