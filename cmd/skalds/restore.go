package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/backup"
	"github.com/skalds-go/skalds/internal/cli"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/sqlite"
)

// keptFile is where the former store stays after a restore, beside it.
const keptFile = storeFile + ".before-restore"

// leaderWatch is how long a lease is watched whose length is not known.
const leaderWatch = 5 * time.Second

func restoreCommand() *cobra.Command {
	var flags settingsFlags
	var force bool
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup into a controller's store",
		Long: `Puts what "skalds backup" has written into a store: the file in the data folder, or MongoDB where MONGO_HOST or --mongo names one and
no --data-dir is given. It need not be of the kind that was backed up. No controller may use the store meanwhile.

A store that holds something is left alone, unless --force says that it may be replaced; a file is kept beside the new one then, as
` + keptFile + `. The backup is read to its end and checked before anything is changed.

What hosts and the bus know of later times counts as older afterwards: hosts tell what they run, and what the store does not know is ended.`,
		Example: `  systemctl stop skalds && skalds restore --data-dir /var/lib/skalds/standalone --force /backup/skalds.gz
  skalds restore --mongo 'mongodb://a,b,c/?replicaSet=rs' /backup/skalds.gz`,
		Args: cli.OneFile,
	}
	flags.offer(c, storeKeys...)
	c.Flags().BoolVar(&force, "force", false, "replace what the store holds")
	c.RunE = func(c *cobra.Command, args []string) error {
		loaded, err := flags.load(c)
		if err != nil {
			return err
		}
		store, err := storeOf(loaded, newLogger(loaded.Settings, c))
		if err != nil {
			return err
		}
		r := &restoreOptions{*store, args[0], force}
		h, counts, err := r.run(c.Context())
		if err == nil {
			_, err = fmt.Fprintf(c.OutOrStdout(), "restored what %s held at %s into %s: %s; the store's generation is %d\n",
				h.From, time.UnixMilli(h.CreatedAt).UTC().Format(time.RFC3339), strings.TrimSuffix(r.name(), ","), counts, h.Generation)
		}
		return err
	}
	return c
}

type restoreOptions struct {
	storeCommand
	from  string
	force bool
}

func (r *restoreOptions) run(ctx context.Context) (backup.Header, backup.Counts, error) {
	if err := r.read(func(in io.Reader) error { _, _, err := backup.Verify(in); return err }); err != nil {
		return backup.Header{}, nil, err
	}
	if r.mongo {
		return r.intoMongo(ctx)
	}
	return r.intoFile(ctx)
}

// read opens the backup and unpacks it where it is compressed, whatever it is called.
func (r *restoreOptions) read(fn func(io.Reader) error) (err error) {
	f, err := os.Open(r.from)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := bufio.NewReader(f)
	if head, err := in.Peek(2); err != nil || head[0] != 0x1f || head[1] != 0x8b {
		return r.said(fn(in))
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return r.said(err)
	}
	return r.said(errors.Join(fn(z), z.Close()))
}

// said names the file, and what became of a compressed one.
func (r *restoreOptions) said(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return skalds.Errorf(skalds.CodeInvalid, "%s: the backup is cut off", r.from)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return skalds.Errorf(skalds.CodeInvalid, "%s: the backup is not as it was written: %v", r.from, err)
	}
	return fmt.Errorf("%s: %w", r.from, err)
}

// intoFile makes a new file and exchanges the store for it when it is whole.
func (r *restoreOptions) intoFile(ctx context.Context) (h backup.Header, counts backup.Counts, err error) {
	if err := ofAHost(r.settings.DataDir); err != nil {
		return h, nil, err
	}
	lock, err := embedded.LockDataDir(r.settings.DataDir)
	if err != nil {
		return h, nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := usedByAHost(r.settings.DataDir); err != nil { // which a standalone's own host is not: its controller holds the lock above
		return h, nil, err
	}
	path := filepath.Join(lock.Path, storeFile)
	former, err := r.look(ctx, path)
	if err != nil {
		return h, nil, err
	}
	under := path + ".restoring"
	if err := removeStore(under); err != nil { // of a restore that did not come to its end
		return h, nil, err
	}
	if h, counts, err = r.fill(ctx, under, former); err != nil {
		return h, nil, errors.Join(err, removeStore(under))
	}
	return h, counts, r.exchange(path, under)
}

// ofAHost refuses the data folder of a host, which has no store. The folder of a standalone holds that of a host of its own.
func ofAHost(dir string) error {
	has := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	if has("journal") || has("host") && !has(storeFile) && !has("schema") {
		return skalds.Errorf(skalds.CodeConflict, "%s is the data folder of a host, which has no store: name that of the controller or standalone with --data-dir", dir)
	}
	return nil
}

// usedByAHost refuses a folder in which a host runs.
func usedByAHost(dir string) error {
	lock, err := os.Open(filepath.Join(dir, "host", "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look whether a host uses %s: %w", dir, err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return skalds.Errorf(skalds.CodeConflict, "a host that runs uses the folder %s: stop it, or name the folder of the controller with --data-dir", dir)
	}
	return nil
}

// look says which generation the store has that is to be replaced; 0 where there is none, or none that can be read. It leaves that store
// closed, with nothing of it in files beside.
func (r *restoreOptions) look(ctx context.Context, path string) (generation int64, err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	s, err := sqlite.Open(path, r.log)
	if err != nil {
		if !r.force {
			return 0, err
		}
		r.log.Warn("the former store cannot be read", "err", err)
		return 0, nil
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if generation, err = s.Generation(ctx); err != nil {
		return 0, err
	}
	return generation, r.mayReplace(ctx, s, path)
}

// mayReplace refuses a store that holds something.
func (r *restoreOptions) mayReplace(ctx context.Context, s controller.Store, name string) error {
	empty, err := backup.Empty(ctx, s)
	if err != nil || empty || r.force {
		return err
	}
	return skalds.Errorf(skalds.CodeConflict, "%s holds tasks or nodes already: --force replaces them", name)
}

func (r *restoreOptions) fill(ctx context.Context, path string, above int64) (h backup.Header, counts backup.Counts, err error) {
	s, err := sqlite.Open(path, r.log)
	if err != nil {
		return h, nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return r.put(ctx, s, above)
}

// put fills an empty store.
func (r *restoreOptions) put(ctx context.Context, s controller.RestoreStore, above int64) (h backup.Header, counts backup.Counts, err error) {
	if above > 0 {
		if _, err := s.RaiseGeneration(ctx, above); err != nil {
			return h, nil, err
		}
	}
	err = r.read(func(in io.Reader) error {
		h, counts, err = backup.Restore(ctx, in, s)
		return err
	})
	return h, counts, err
}

// exchange puts the new file in the place of the store. A log beside the former one would be taken for the new one's, so it goes along.
func (r *restoreOptions) exchange(path, under string) error {
	kept := filepath.Join(filepath.Dir(path), keptFile)
	if _, err := os.Stat(path); err == nil {
		if err := removeStore(kept); err != nil {
			return err
		}
		if err := os.Rename(path+"-wal", kept+"-wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("keep the former store: %w", err)
		}
		if err := os.Remove(path + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("keep the former store: %w", err)
		}
		if err := os.Link(path, kept); err != nil { // so that there is a store at every moment
			return fmt.Errorf("keep the former store: %w", err)
		}
	}
	if err := os.Rename(under, path); err != nil {
		return fmt.Errorf("put the restored store in its place: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// removeStore removes a store's file and those beside it.
func removeStore(path string) error {
	for _, f := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove an older file: %w", err)
		}
	}
	return nil
}

// intoMongo fills a database of which no controller makes use.
func (r *restoreOptions) intoMongo(ctx context.Context) (h backup.Header, counts backup.Counts, err error) {
	opened, err := openStore(r.settings, true, r.log)
	if err != nil {
		return h, nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	s, ok := opened.(controller.RestoreStore)
	if !ok {
		return h, nil, errors.New("nothing can be restored into a store of this kind")
	}
	if err := s.Ping(ctx); err != nil {
		return h, nil, err
	}
	if err := nobodyLeads(ctx, s); err != nil {
		return h, nil, err
	}
	if err := r.mayReplace(ctx, s, "the database"); err != nil {
		return h, nil, err
	}
	if r.force {
		if err := s.Clear(ctx); err != nil {
			return h, nil, err
		}
	}
	if h, counts, err = r.put(ctx, s, 0); err != nil {
		err = fmt.Errorf("%w: the database holds a part of the backup now; restore again with --force", err)
	}
	return h, counts, err
}

// nobodyLeads watches the lease of the controller that decides: one that runs renews it.
func nobodyLeads(ctx context.Context, s controller.Store) error {
	before, err := s.Leader(ctx)
	if err != nil || before.Owner == "" {
		return err
	}
	watch := 2 * before.Length
	if watch <= 0 || watch > 4*leaderWatch {
		watch = leaderWatch
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(watch):
	}
	after, err := s.Leader(ctx)
	if err != nil {
		return err
	}
	if after.Term != before.Term || after.Renewal != before.Renewal {
		return skalds.Errorf(skalds.CodeConflict, "controller %s works with this database: stop all controllers first", after.Owner)
	}
	return nil
}
