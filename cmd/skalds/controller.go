package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/cli"
	"github.com/skalds-go/skalds/internal/conf"
	"github.com/skalds-go/skalds/internal/embedded"
)

func controllerCommand() *cobra.Command {
	var flags settingsFlags
	c := &cobra.Command{
		Use:   "controller",
		Short: "Run a controller of a cluster: REST, page, dispatcher, over Kafka, Redis and MongoDB",
		Long: `Runs a controller of a cluster. Several may run at once over the same services: all serve REST and the page, one of them leads, and
another takes over within seconds when it is gone. They need Kafka (KAFKA_HOST), Redis (REDIS_HOST) and MongoDB (MONGO_HOST). Without
MongoDB tasks are kept in a file of the data folder, and this is the only controller.`,
		Example: `  KAFKA_HOST=kafka-1,kafka-2 REDIS_HOST=redis MONGO_HOST=mongodb://a,b,c/?replicaSet=rs skalds controller --listen 0.0.0.0:8000
  skalds controller --config /etc/skalds/skalds.yml`,
		Args: cli.NoArgs,
	}
	flags.offer(c, "skalds_data_dir", "system_controller_host", "skalds_advertise", "kafka_host", "redis_host", "mongo_host", "log_level", "skalds_log_format", "skalds_lease")
	c.RunE = func(c *cobra.Command, _ []string) error {
		loaded, err := flags.load(c)
		if err != nil {
			return err
		}
		o := &controllerOptions{settings: loaded.Settings, from: loaded.From, log: newLogger(loaded.Settings, c)}
		for _, w := range loaded.Warnings {
			o.log.Warn(w)
		}
		return o.run(c.Context())
	}
	return c
}

// controllerOptions are what a controller command was told.
type controllerOptions struct {
	settings conf.Settings
	from     map[string]string
	log      hclog.Logger
}

func (o *controllerOptions) said(key string) bool { return o.from[key] != "default" }

// run opens everything, serves until ctx ends, and closes in reverse.
func (o *controllerOptions) run(ctx context.Context) (err error) {
	for key, name := range map[string]string{"kafka_host": "KAFKA_HOST", "redis_host": "REDIS_HOST"} {
		if !o.said(key) {
			return wrongSettings(fmt.Errorf("a controller must know where Kafka and Redis are, and %s is missing; for one machine without services use `skalds standalone`", name))
		}
	}
	closeLater := func(close func() error) { err = errors.Join(err, close()) }
	listener, err := listen(o.settings)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it, unless something failed before
	alone := !o.said("mongo_host")
	if alone {
		unlock, err := o.lockDataDir()
		if err != nil {
			return err
		}
		defer func() { closeLater(unlock) }()
	}
	store, err := openStore(o.settings, !alone, o.log)
	if err != nil {
		return err
	}
	defer func() { closeLater(store.Close) }()
	at := clusterServices(o.settings)
	links, err := newControllerLinks(at, o.log)
	if err != nil {
		return err
	}
	defer func() { closeLater(links.Close) }()

	f := &front{settings: o.settings, lease: o.settings.Lease.D(), alone: alone, url: serverURL(o.settings, listener.Addr(), true), log: o.log}
	p := newProgram(ctx)
	err = f.open(p, listener, links.ports(store), func(h api.Health) api.Health { return h })
	if err != nil {
		return err
	}
	if o.settings.ControllerMode != conf.ModeDispatcher {
		o.log.Warn("this controller never leads: another one must run as DISPATCHER, or nothing is handed out", "system_controller_mode", o.settings.ControllerMode)
	}
	facts := []any{"api", f.url + "/api/docs", "mode", o.settings.ControllerMode, "alone", alone, "version", version}
	if o.settings.ControllerMode != conf.ModeController {
		facts = append([]any{"page", f.url + "/dashboard"}, facts...)
	}
	facts = append(facts, at.where()...)
	o.log.Info("controller is up", append(facts, "store", storeAt(store, o.settings))...)
	return p.run()
}

// lockDataDir makes the folder of a store that is a file, and keeps others out of it.
func (o *controllerOptions) lockDataDir() (unlock func() error, err error) {
	dir, err := filepath.Abs(o.settings.DataDir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("start controller: %w", err)
	}
	o.settings.DataDir = dir
	lock, err := embedded.LockDataDir(dir)
	if err != nil {
		return nil, err
	}
	o.log.Warn("tasks are kept in a file: there can be no other controller; MONGO_HOST names a store for several", "file", filepath.Join(dir, storeFile))
	return lock.Close, nil
}
