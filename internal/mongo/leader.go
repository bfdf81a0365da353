package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// leaderDoc is the lease of the controller that decides.
type leaderDoc struct {
	ID      string        `bson:"_id"`
	Owner   string        `bson:"owner"`
	Term    int64         `bson:"term"`
	Renewal int64         `bson:"renewal"`
	Length  int64         `bson:"lengthNs"`
	Mark    bson.ObjectID `bson:"mark"` // of the call that has written it
}

const leaderID = "leader"

// Leader reads the lease of the controller that decides.
func (s *Store) Leader(ctx context.Context) (l controller.LeaderLease, err error) {
	err = s.read(ctx, "read who leads", func(ctx context.Context) error {
		d, err := s.leader(ctx)
		l = controller.LeaderLease{Owner: d.Owner, Term: d.Term, Renewal: d.Renewal, Length: time.Duration(d.Length)}
		return err
	})
	return l, err
}

func (s *Store) leader(ctx context.Context) (d leaderDoc, err error) {
	err = s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: leaderID}}).Decode(&d)
	if errors.Is(err, driver.ErrNoDocuments) {
		err = nil
	}
	return d, err
}

// SaveLeader replaces the lease prev by next.
func (s *Store) SaveLeader(ctx context.Context, prev, next controller.LeaderLease) error {
	d := leaderDoc{ID: leaderID, Owner: next.Owner, Term: next.Term, Renewal: next.Renewal, Length: int64(next.Length), Mark: bson.NewObjectID()}
	return s.write(ctx, "save who leads", func(ctx context.Context) error {
		won, err := s.replaceLeader(ctx, prev, d)
		var server driver.ServerError
		switch {
		case errors.As(err, &server) && server.HasErrorCode(codeWriteConflict):
			return skalds.ErrRevision
		case err != nil || won:
			return err
		}
		// The driver sends again what was not answered. Then the lease that stands in the way may be the one that this call has written.
		now, err := s.leader(ctx)
		if err == nil && now.Mark != d.Mark {
			err = skalds.ErrRevision
		}
		return err
	})
}

func (s *Store) replaceLeader(ctx context.Context, prev controller.LeaderLease, d leaderDoc) (won bool, err error) {
	if prev.Term == 0 && prev.Renewal == 0 {
		_, err := s.meta.InsertOne(ctx, d)
		if driver.IsDuplicateKeyError(err) {
			return false, nil
		}
		return err == nil, err
	}
	result, err := s.meta.ReplaceOne(ctx, bson.D{{Key: "_id", Value: leaderID}, {Key: "term", Value: prev.Term}, {Key: "renewal", Value: prev.Renewal}}, d)
	return err == nil && result.MatchedCount == 1, err
}
