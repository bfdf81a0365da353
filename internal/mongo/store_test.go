package mongo_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/mongo"
	"github.com/skalds-go/skalds/internal/porttest"
	"github.com/skalds-go/skalds/internal/testlog"
)

// uri is the address of a real server, or skips the test.
func uri(t testing.TB) string {
	t.Helper()
	addr := os.Getenv("SKALDS_TEST_MONGO")
	if addr == "" {
		t.Skip("SKALDS_TEST_MONGO is not set: it names a server that speaks MongoDB's protocol, in which this test may make databases")
	}
	return addr
}

// database is one of the test's own, dropped at its end.
func database(t testing.TB, addr string) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(addr))
	if err != nil {
		t.Fatal(err)
	}
	db := client.Database(fmt.Sprintf("skalds_test_%s", strings.ToLower(bson.NewObjectID().Hex())))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := db.Drop(ctx); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
		if err := client.Disconnect(ctx); err != nil {
			t.Errorf("disconnect: %v", err)
		}
	})
	return db
}

// patient is a time-out that a busy machine keeps.
const patient = 30 * time.Second

func open(t testing.TB, cfg mongo.Config) *mongo.Store {
	t.Helper()
	s, err := mongo.Open(cfg, testlog.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// fresh is a store on a database of the test's own.
func fresh(t testing.TB) (*mongo.Store, *driver.Database) {
	t.Helper()
	addr := uri(t)
	db := database(t, addr)
	return open(t, mongo.Config{URI: addr, Database: db.Name(), Timeout: patient}), db
}

func TestStore(t *testing.T) {
	uri(t)
	porttest.RunStore(t, func(t testing.TB) controller.Store {
		s, _ := fresh(t)
		return s
	})
}

func TestLeaderStore(t *testing.T) {
	uri(t)
	porttest.RunLeaderStore(t, func(t testing.TB) controller.LeaderStore {
		s, _ := fresh(t)
		return s
	})
}
