package mongo

import (
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

// Config says where the database is.
type Config struct {
	URI      string // mongodb://user:password@a,b,c/?replicaSet=rs
	Database string // default "skalds"
}

// Time-outs. The first two are those of the original; the last bounds calls whose context has no end.
const (
	selectTimeout  = 3 * time.Second
	connectTimeout = 3 * time.Second
	callTimeout    = 10 * time.Second
)

// DefaultDatabase is the name that the original uses.
const DefaultDatabase = "skalds"

func (c Config) parsed() (*connstring.ConnString, error) {
	if c.URI == "" {
		return nil, errors.New("no database is named: set MONGO_HOST")
	}
	u, err := connstring.ParseAndValidate(c.URI)
	if err != nil {
		return nil, fmt.Errorf("MONGO_HOST is no URI of MongoDB: %w", withoutSecrets(err))
	}
	return u, nil
}

func (c Config) options() *options.ClientOptions {
	journal := true
	concern := writeconcern.Majority()
	concern.Journal = &journal
	return options.Client().ApplyURI(c.URI).
		SetServerSelectionTimeout(selectTimeout).SetConnectTimeout(connectTimeout).SetTimeout(callTimeout).
		SetAppName("skalds").SetRetryReads(true).SetRetryWrites(true).
		SetReadPreference(readpref.Primary()).SetReadConcern(readconcern.Majority()).SetWriteConcern(concern)
}
