package mongo_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/mongo"
)

func TestADatabaseOfANewerVersionIsRefused(t *testing.T) {
	s, db := fresh(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("meta").UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "store"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "schema", Value: 1}}}}); err != nil {
		t.Fatal(err)
	}
	later := open(t, mongo.Config{URI: uri(t), Database: db.Name(), Timeout: patient})
	if err := later.Ping(t.Context()); !errors.Is(err, skalds.ErrConflict) {
		t.Errorf("the database of a newer version: %v, want a conflict", err)
	}
}

func TestARestoredDatabaseHasAnotherGeneration(t *testing.T) {
	s, db := fresh(t)
	before, err := s.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("meta").UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "store"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "generation", Value: 1}}}}); err != nil {
		t.Fatal(err)
	}
	again := open(t, mongo.Config{URI: uri(t), Database: db.Name(), Timeout: patient})
	if after, err := again.Generation(t.Context()); err != nil || after != before+1 {
		t.Errorf("generation %d after %d, %v", after, before, err)
	}
}

func TestATaskThatIsTooLarge(t *testing.T) {
	s, _ := fresh(t)
	big := task("big")
	big.Result = json.RawMessage(`"` + strings.Repeat("x", 17<<20) + `"`)
	if _, _, err := s.Create(t.Context(), big); !errors.Is(err, skalds.ErrTooLarge) {
		t.Errorf("create: %.200v, want too large", err)
	}
	small := task("small")
	if _, _, err := s.Create(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	small.Result = big.Result
	if err := s.Save(t.Context(), small); !errors.Is(err, skalds.ErrTooLarge) {
		t.Errorf("save: %.200v, want too large", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestEveryStoreSeesWhatAnotherHasWritten(t *testing.T) {
	s, db := fresh(t)
	other := open(t, mongo.Config{URI: uri(t), Database: db.Name(), Timeout: patient})
	for range 20 {
		id := bson.NewObjectID().Hex()
		if _, _, err := s.Create(t.Context(), task(id)); err != nil {
			t.Fatal(err)
		}
		got, err := other.Task(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got.Waiting = "for a node"
		if err := other.Save(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		if got, err = s.Task(t.Context(), id); err != nil || got.Waiting != "for a node" {
			t.Errorf("%s waits %q, %v", id, got.Waiting, err)
		}
	}
}
