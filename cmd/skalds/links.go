package main

import (
	"errors"
	"path/filepath"
	"runtime"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/host"
	"github.com/skalds-go/skalds/internal/conf"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// links are a host's connections; all connect when they are first used, and again after every loss.
type links struct {
	at    services
	bus   *kafka.HostBus
	beats *redis.HeartbeatStore
	cache *redis.Cache
	own   bool // the servers end with this program: there is nobody to be told of it
}

func newLinks(s services, clientID string, log hclog.Logger) (*links, error) {
	if err := s.redis.Check(); err != nil {
		return nil, wrongSettings(err)
	}
	s.kafka.ClientID = clientID
	bus, err := kafka.NewHostBus(s.kafka, log)
	if err != nil {
		return nil, err
	}
	return &links{at: s, bus: bus, beats: redis.NewHeartbeatStore(s.redis, log), cache: redis.NewCache(s.redis)}, nil
}

// Close drops all connections.
func (l *links) Close() error {
	return errors.Join(l.bus.Close(), l.beats.Close(), l.cache.Close())
}

// newHost puts a host together; links may be nil.
func newHost(cfg host.Config, s conf.Settings, l *links, log hclog.Logger) (*host.Host, error) {
	deps, err := hostDeps(cfg, s, l, log)
	if err != nil {
		return nil, err
	}
	return host.New(cfg, deps, log)
}

// warmWorkers is how many processes are kept ready on so many processors.
func warmWorkers(setting, processors int) int {
	if setting < 0 {
		return 4 * processors
	}
	return setting
}

func hostDeps(cfg host.Config, s conf.Settings, l *links, log hclog.Logger) (host.Deps, error) {
	if err := cfg.Validate(); err != nil { // before anything is made on disk
		return host.Deps{}, err
	}
	launcher, err := plugins.NewLauncher(plugins.LauncherConfig{
		RunDir: filepath.Join(cfg.DataDir, "run"), Cgroups: string(s.Cgroups), CPUDutyCycle: &s.CPUDuty,
		Warm: plugins.WarmConfig{Processes: warmWorkers(s.Warm, runtime.NumCPU()), Nice: host.WorkerNice},
	}, log)
	if err != nil {
		return host.Deps{}, err
	}
	deps := host.Deps{
		Catalog:  plugins.NewCatalog(plugins.CatalogConfig{Dir: s.PluginsDir(), LaunchID: launcher.DescribeID()}, log),
		Launcher: launcher, Sampler: procstats.New(),
	}
	if l != nil {
		deps.Bus, deps.Beats, deps.Cache, deps.Where = l.bus, l.beats, l.cache, l.at.where()
		if !l.own {
			deps.Farewell = l.farewell
		}
	}
	return deps, nil
}
