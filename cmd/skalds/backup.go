package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/backup"
	"github.com/skalds-go/skalds/internal/cli"
	"github.com/skalds-go/skalds/internal/conf"
	"github.com/skalds-go/skalds/internal/mongo"
	"github.com/skalds-go/skalds/internal/sqlite"
)

// zipped is the ending of files that are compressed.
const zipped = ".gz"

func backupCommand() *cobra.Command {
	var flags settingsFlags
	var force bool
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything that a controller's store holds to a file, also while it is in use",
		Long: `Writes tasks, attempts, nodes, workers, audit, usage and what was learned to FILE, compressed where its name ends in .gz. The store is the
file in the data folder, or MongoDB where MONGO_HOST or --mongo names one and no --data-dir is given. A program that uses it goes on; of
the file, the backup is as it was at one moment. A FILE that is there already is replaced with --force only. "skalds restore" puts it into a store of either kind.

It holds what tasks were given, secrets in attachments included: only its owner reads it.`,
		Example: `  skalds backup --data-dir /var/lib/skalds/standalone /backup/skalds-$(date +%F).gz
  MONGO_HOST=mongodb://a,b,c/?replicaSet=rs skalds backup /backup/skalds.gz`,
		Args: cli.OneFile,
	}
	flags.offer(c, storeKeys...)
	c.Flags().BoolVar(&force, "force", false, "replace a FILE that is there already")
	c.RunE = func(c *cobra.Command, args []string) error {
		loaded, err := flags.load(c)
		if err != nil {
			return err
		}
		b, err := storeOf(loaded, newLogger(loaded.Settings, c))
		if err != nil {
			return err
		}
		counts, err := b.backup(c.Context(), args[0], force)
		if err == nil {
			_, err = fmt.Fprintf(c.OutOrStdout(), "backed up %s to %s: %s\n", b.name(), args[0], counts)
		}
		return err
	}
	return c
}

// storeKeys are the settings that say which store is meant.
var storeKeys = []string{"skalds_data_dir", "mongo_host", "log_level"}

// storeCommand is a command about a store.
type storeCommand struct {
	settings conf.Settings
	mongo    bool
	log      hclog.Logger
}

// storeOf settles which store is meant: a flag counts for more than what the environment or a file says of another kind.
func storeOf(loaded *conf.Loaded, log hclog.Logger) (*storeCommand, error) {
	byFlag := func(key string) bool { return strings.HasPrefix(loaded.From[key], "flag ") }
	if byFlag("skalds_data_dir") && byFlag("mongo_host") {
		return nil, skalds.Errorf(skalds.CodeInvalid, "--data-dir and --mongo name two stores: give one of them")
	}
	mongo := loaded.From["mongo_host"] != "default" && !byFlag("skalds_data_dir")
	return &storeCommand{settings: loaded.Settings, mongo: mongo, log: log}, nil
}

// name says which store it is, without its password.
func (b *storeCommand) name() string {
	if b.mongo {
		return fmt.Sprintf("MongoDB at %s, database %s,", mongo.MaskURI(b.settings.MongoHost), b.settings.DBName)
	}
	return b.file()
}

// file is the store in the data folder.
func (b *storeCommand) file() string { return filepath.Join(b.settings.DataDir, storeFile) }

func (b *storeCommand) backup(ctx context.Context, to string, force bool) (counts backup.Counts, err error) {
	switch info, err := os.Stat(to); {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file: name one to write the backup to", to)
	case err == nil && !force:
		return nil, skalds.Errorf(skalds.CodeConflict, "%s is there already: name another file, or replace it with --force", to)
	}
	dir, err := os.MkdirTemp(filepath.Dir(to), ".skalds-backup-")
	if err != nil {
		return nil, fmt.Errorf("make a backup beside %s: %w", to, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	h := backup.Header{Program: version, CreatedAt: time.Now().UnixMilli(), From: "MongoDB"}
	var store controller.Store
	if b.mongo {
		store, err = openStore(b.settings, true, b.log)
	} else {
		h.From = "SQLite"
		store, err = b.copied(ctx, filepath.Join(dir, storeFile))
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Ping(ctx); err != nil {
		return nil, err
	}
	return counts, replaceBy(to, filepath.Join(dir, "backup"), func(w io.Writer) error {
		counts, err = backup.Write(ctx, w, store, h)
		return err
	})
}

// copied opens a copy of the store's file.
func (b *storeCommand) copied(ctx context.Context, to string) (controller.Store, error) {
	if err := sqlite.Snapshot(ctx, b.file(), to); err != nil {
		return nil, err
	}
	return sqlite.Open(to, b.log)
}

// replaceBy writes a file under another name of the same disk, and moves it to its place when it is whole and durable.
func replaceBy(path, under string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(under, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	var w io.Writer = f
	finish := f.Sync
	if strings.HasSuffix(path, zipped) {
		z := gzip.NewWriter(f)
		w, finish = z, func() error { return errors.Join(z.Close(), f.Sync()) }
	}
	if err := write(w); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(finish(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(under, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
