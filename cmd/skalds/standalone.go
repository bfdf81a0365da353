package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/cli"
	"github.com/skalds-go/skalds/internal/conf"
	"github.com/skalds-go/skalds/internal/embedded"
)

// embeddedLease is the lease where nodes join an embedded bus: those servers restart with their program, and nodes should
// live through that.
const embeddedLease = 15 * time.Second

func standaloneCommand() *cobra.Command {
	var flags settingsFlags
	var nodes int
	c := &cobra.Command{
		Use:   "standalone",
		Short: "Run everything on this machine: controller, host, bus, store, REST and page",
		Long: `Runs a controller and a host with an embedded bus, Redis and store. No service is needed; all state lies in one folder and survives a
restart. Further hosts of this machine join with "skalds host --mode node --join <data-dir>/join.json".

--kafka, --redis and --mongo each replace one of the embedded parts; user, password and encryption come from the settings.`,
		Example: `  skalds standalone --plugins bin/plugins --workers workers.yml
  skalds standalone --listen 127.0.0.1:9000 --data-dir /var/lib/skalds --nodes 3`,
		Args: cli.NoArgs,
	}
	flags.offer(c, "skalds_data_dir", "system_controller_host", "skalds_plugins", "yaml_file", "skald_id", "skalds_labels", "log_level", "skalds_log_format", "skalds_lease", "skalds_grace", "skalds_cgroups", "skalds_warm_workers", "skalds_cpu_duty_cycle", "kafka_host", "redis_host", "mongo_host")
	c.Flags().IntVar(&nodes, "nodes", 1, "`number` of hosts; more than one run as child processes with an equal share of the machine each")
	c.RunE = func(c *cobra.Command, _ []string) error {
		loaded, err := flags.load(c)
		if err != nil {
			return err
		}
		if nodes < 1 || nodes > 64 {
			return wrongSettings(fmt.Errorf("--nodes %d is no number of hosts: use 1 to 64", nodes))
		}
		if nodes > 1 && loaded.Settings.SkaldID != "" {
			return wrongSettings(fmt.Errorf("--nodes %d and a node id exclude each other: every node needs a name of its own", nodes))
		}
		s := &standalone{
			settings: loaded.Settings, nodes: nodes, lease: embeddedLease, log: newLogger(loaded.Settings, c),
			childFlags: flags.given(c, "labels", "log-level", "log-format", "grace", "cgroups", "warm-workers", "cpu-duty-cycle"),
		}
		s.elsewhere = clusterServices(loaded.Settings).elsewhere(c.Flags().Changed("kafka"), c.Flags().Changed("redis"))
		s.mongo = c.Flags().Changed("mongo")
		if loaded.From["skalds_lease"] != "default" || c.Flags().Changed("kafka") && c.Flags().Changed("redis") {
			s.lease = loaded.Settings.Lease.D()
		}
		for _, w := range loaded.Warnings {
			s.log.Warn(w)
		}
		for key, flag := range map[string]string{"kafka_host": "kafka", "redis_host": "redis", "mongo_host": "mongo"} {
			if from := loaded.From[key]; from != "default" && !c.Flags().Changed(flag) {
				s.log.Warn("a standalone has this server in itself: the setting is not used; the flag is", "key", key, "from", from, "flag", "--"+flag)
			}
		}
		if s.settings.ControllerMode != conf.ModeDispatcher { // as the original's own file says
			s.log.Warn("a standalone does everything: this setting is for controllers of a cluster and not used", "key", "system_controller_mode", "value", s.settings.ControllerMode)
			s.settings.ControllerMode = conf.ModeDispatcher
		}
		return s.run(c.Context())
	}
	return c
}

// standalone is everything in one program.
type standalone struct {
	settings   conf.Settings
	nodes      int
	lease      time.Duration
	childFlags []string
	elsewhere  embedded.Join // services that are not embedded
	mongo      bool          // the store is not in the data folder
	log        hclog.Logger
}

// run opens everything in the order in which it is needed, serves until ctx ends, and closes in reverse.
func (s *standalone) run(ctx context.Context) (err error) {
	dir, err := filepath.Abs(s.settings.DataDir)
	if err != nil {
		return fmt.Errorf("start standalone: %w", err)
	}
	s.settings.DataDir = dir
	defer func() { err = diskAdvice(dir, orStopped(err)) }()
	closeLater := func(close func() error) { err = errors.Join(err, close()) }
	lock, err := embedded.LockDataDir(dir)
	if err != nil {
		return err
	}
	defer func() { closeLater(lock.Close) }()
	listener, err := listen(s.settings)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it, unless something failed before
	servers, err := embedded.Start(ctx, embedded.Config{DataDir: dir, Log: s.log, Elsewhere: s.elsewhere})
	if err != nil {
		return err
	}
	defer func() { closeLater(servers.Close) }()
	url := serverURL(s.settings, listener.Addr(), false)
	if err := servers.WriteJoin(url, s.settings.Token, s.lease); err != nil {
		return err
	}
	store, err := openStore(s.settings, s.mongo, s.log)
	if err != nil {
		return err
	}
	defer func() { closeLater(store.Close) }()
	at, set := joined(servers.Join()), clusterServices(s.settings)
	at.redis.KeyTTL = set.redis.KeyTTL
	if len(s.elsewhere.KafkaBrokers) > 0 {
		at.kafka.Partitions, at.kafka.ReplicationFactor = set.kafka.Partitions, set.kafka.ReplicationFactor
	}
	if s.elsewhere.RedisAddr != "" {
		at.redis.MinReplicas = set.redis.MinReplicas
	}
	links, err := newControllerLinks(at, s.log)
	if err != nil {
		return err
	}
	defer func() { closeLater(links.Close) }()

	p := newProgram(ctx)
	if s.nodes > 1 {
		s.addChildren(p, servers.JoinPath())
	} else {
		closeHost, err := s.addHost(p, at)
		if err != nil {
			return err
		}
		defer func() { closeLater(closeHost) }()
	}
	f := &front{settings: s.settings, lease: s.lease, alone: !s.mongo, url: url, log: s.log}
	err = f.open(p, listener, links.ports(store), func(h api.Health) api.Health { return health{h, disk{dir}} })
	if err != nil {
		return err
	}
	p.add(func(ctx context.Context) error { disk{dir}.watch(ctx, s.log); return nil })
	s.log.Info("skalds is up", "page", url+"/dashboard", "api", url+"/api/docs", "data_dir", dir, "nodes", s.nodes, "join", servers.JoinPath(), "version", version)
	return p.run()
}

// addHost adds the one host of this process.
func (s *standalone) addHost(p *program, at services) (closeLinks func() error, err error) {
	l, err := newLinks(at, "skalds-host", s.log)
	if err != nil {
		return nil, err
	}
	l.own = true
	h, err := newHost(hostConfig(s.settings, s.lease), s.settings, l, s.log)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	p.add(h.Run)
	return l.Close, nil
}

// addChildren adds the hosts that run as processes of their own; the first one has the workers file.
func (s *standalone) addChildren(p *program, joinPath string) {
	for i := 1; i <= s.nodes; i++ {
		args := append([]string{"host", "--mode", "node", "--tied", "--join", joinPath}, s.childFlags...)
		args = append(args,
			"--data-dir", s.nodeDir(i), "--plugins", s.settings.PluginsDir(),
			"--capacity-share", strconv.FormatFloat(1/float64(s.nodes), 'g', -1, 64))
		if i == 1 && s.settings.YAMLFile != "" {
			args = append(args, "--workers", s.settings.YAMLFile)
		}
		p.add((&childHost{number: i, args: args, grace: s.settings.Grace.D(), log: s.log.Named("nodes")}).Run)
	}
}

// nodeDir is the data folder of a host. The first one has that of a single host: tasks of the workers file belong to their
// node, which must stay the same when --nodes changes.
func (s *standalone) nodeDir(number int) string {
	if number == 1 {
		return s.settings.DataDir
	}
	return filepath.Join(s.settings.DataDir, "nodes", strconv.Itoa(number))
}

// self is the path of this program.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return path, nil
}
