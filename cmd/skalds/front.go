package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/dashboard"
	"github.com/skalds-go/skalds/controller/dispatch"
	"github.com/skalds-go/skalds/internal/conf"
)

// shutdownTimeout is how long open requests may take at the end.
const shutdownTimeout = 3 * time.Second

// front is a controller with what people and programs see of it.
type front struct {
	settings conf.Settings
	lease    time.Duration
	alone    bool   // nobody else has its store
	url      string // under which hosts reach it
	log      hclog.Logger
}

// ports are what a controller works with.
type ports struct {
	store    controller.Store
	bus      controller.Bus
	beats    controller.HeartbeatStore
	registry controller.ControllerRegistry
}

// open puts controller, REST and page together and adds them to the program; ready adds to the services that must answer. The
// listener belongs to the program from then on.
func (f *front) open(p *program, l net.Listener, with ports, ready func(api.Health) api.Health) error {
	c, err := controller.New(f.controllerConfig(), with.store, with.bus, with.beats, controller.BootClock{}, f.log)
	if err != nil {
		return err
	}
	page := dashboard.Handler()
	if f.settings.ControllerMode == conf.ModeController {
		page = nil
	}
	health := ready(c.Health())
	cfg := f.apiConfig(l.Addr())
	cfg.Controllers = c.Roster(with.registry)
	server := &http.Server{
		Handler:           api.New(cfg, c.Tasks(), c.Nodes(), c.Events(), c.Streams(), health, page, f.log),
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: f.log.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	p.add(c.Run)
	p.add(c.Announce(with.registry, version, string(f.settings.ControllerMode)))
	p.add(func(ctx context.Context) error { return serve(ctx, server, l) })
	p.add(tellManager(p.ctx, lookAtController(c, health, l.Addr()), f.log))
	return nil
}

// controllerID is a name of its own for each start: a controller that starts again must not be taken for the one before.
func controllerID() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "controller"
	}
	return fmt.Sprintf("%s-%05x", host, rand.N(1<<20))
}

func (f *front) controllerConfig() controller.Config {
	cfg := controller.DefaultConfig()
	if !f.alone {
		cfg.ID = controllerID()
	}
	cfg.Alone, cfg.Leads = f.alone, f.settings.ControllerMode == conf.ModeDispatcher
	cfg.Originals = !f.alone // Python nodes read MongoDB by themselves
	cfg.ServerURL, cfg.Lease, cfg.TaskWorkerRetry = f.url, f.lease, f.settings.TaskWorkerRetry
	cfg.Dispatch.Strategy = dispatch.Strategy(f.settings.DispatcherStrategy.Name())
	cfg.Retention, cfg.RetentionTasks, cfg.NodeRetention = f.settings.Retention.D(), f.settings.RetentionTasks, f.settings.NodeRetention.D()
	return cfg
}

func (f *front) apiConfig(at net.Addr) api.Config {
	cfg := api.Config{
		Version: version, Mode: string(f.settings.ControllerMode), Host: f.settings.ControllerHost, Token: f.settings.Token,
		AllowedHosts: f.settings.AllowedHosts,
		Settings: api.SystemSettings{
			NodeInterval: seconds(f.settings.MonitorSkaldInterval), TaskInterval: seconds(f.settings.MonitorTaskInterval),
			HeartbeatTimeout: int(f.lease / time.Second), DispatchInterval: seconds(f.settings.DispatcherInterval),
			Strategy: string(f.settings.DispatcherStrategy), Environment: string(f.settings.SkaldEnv), LogLevel: string(f.settings.LogLevel),
		},
	}
	if tcp, ok := at.(*net.TCPAddr); ok {
		cfg.Port = tcp.Port
	}
	return cfg
}

func seconds(s conf.Seconds) int { return int(s.D() / time.Second) }

// serve serves until ctx ends; streams end with it.
func serve(ctx context.Context, s *http.Server, l net.Listener) error {
	s.BaseContext = func(net.Listener) context.Context { return ctx }
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	<-failed
	return err
}
