package main

import (
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/conf"
	"github.com/skalds-go/skalds/internal/mongo"
	"github.com/skalds-go/skalds/internal/sqlite"
)

// storeFile is the controller's store in the data folder.
const storeFile = "skalds.db"

// openStore opens MongoDB, or the file of the data folder, which is locked.
func openStore(s conf.Settings, cluster bool, log hclog.Logger) (controller.Store, error) {
	if cluster {
		store, err := mongo.Open(mongo.Config{URI: s.MongoHost, Database: s.DBName, WorkerRetry: s.TaskWorkerRetry}, log)
		return store, wrongSettings(err)
	}
	return sqlite.Open(filepath.Join(s.DataDir, storeFile), log)
}

// storeAt names the store for people, without user and password.
func storeAt(store controller.Store, s conf.Settings) string {
	if m, ok := store.(*mongo.Store); ok {
		return m.Address() + ", database " + s.DBName
	}
	return filepath.Join(s.DataDir, storeFile)
}
