package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/host"
	"github.com/skalds-go/skalds/internal/cli"
	"github.com/skalds-go/skalds/internal/conf"
	"github.com/skalds-go/skalds/internal/embedded"
)

// The modes of a host, as in SKALD_MODE.
const (
	modeNode   = "node"
	modeEdge   = "edge"
	modeSingle = "single_process"
)

func hostCommand() *cobra.Command {
	var flags settingsFlags
	var o hostOptions
	c := &cobra.Command{
		Use:   "host",
		Short: "Run tasks on this machine",
		Long: `Runs tasks on this machine, each in a process of its own.

  --mode node            takes tasks from controllers; with --workers also those of a file
  --mode edge            takes tasks from the file --workers; reports to controllers where it can reach them, works alone where not
  --mode single_process  runs the first task of --workers to its end; the exit code is the task's fate`,
		Example: `  skalds host --mode node --join /var/lib/skalds/join.json --data-dir ./node-2
  skalds host --mode edge --workers workers.yml
  skalds host --mode single_process --workers job.yml`,
		Args: cli.NoArgs,
	}
	flags.offer(c, "skald_mode", "skalds_data_dir", "skalds_plugins", "yaml_file", "skald_id", "skalds_labels", "log_level", "skalds_log_format", "skalds_lease", "skalds_grace", "skalds_cgroups", "skalds_warm_workers", "skalds_cpu_duty_cycle")
	c.Flags().StringVar(&o.join, "join", "", "join `file` of a running standalone: <data-dir>/join.json")
	c.Flags().Float64Var(&o.share, "capacity-share", 1, "`part` of the machine that this host may hand out, above 0 and at most 1")
	c.Flags().BoolVar(&o.tied, "tied", false, "end when standard input does")
	_ = c.Flags().MarkHidden("tied") // for the hosts that a standalone starts
	c.RunE = func(c *cobra.Command, _ []string) error {
		loaded, err := flags.load(c)
		if err != nil {
			return err
		}
		o.settings, o.log = loaded.Settings, newLogger(loaded.Settings, c)
		o.from = loaded.From
		if o.tied && !c.Flags().Changed("workers") {
			o.settings.YAMLFile = "" // what file and environment say is meant for the first of the hosts, which has the flag
		}
		for _, w := range loaded.Warnings {
			o.log.Warn(w)
		}
		if !(o.share > 0 && o.share <= 1) { // nor NaN
			return wrongSettings(fmt.Errorf("flag --capacity-share: %g is no part of the machine: use above 0 and at most 1", o.share))
		}
		return o.run(c)
	}
	return c
}

// hostOptions are what a host command was told.
type hostOptions struct {
	settings conf.Settings
	from     map[string]string
	join     string
	share    float64
	tied     bool
	log      hclog.Logger
}

// said reports whether the user has set a key.
func (o *hostOptions) said(key string) bool { return o.from[key] != "default" }

func (o *hostOptions) run(c *cobra.Command) (err error) {
	defer func() { err = diskAdvice(o.settings.DataDir, orStopped(err)) }()
	ctx := c.Context()
	if o.tied {
		var cancel func()
		ctx, cancel = tied(ctx, c.InOrStdin(), os.Exit)
		defer cancel()
	}
	mode := string(o.settings.SkaldMode)
	at, lease, err := o.services()
	if err != nil {
		return err
	}
	cfg := hostConfig(o.settings, lease)
	cfg.Node = mode == modeNode
	cfg.Edge = mode == modeEdge || o.settings.YAMLFile != ""
	cfg.CapacityShare = o.share
	if mode != modeNode && o.settings.YAMLFile == "" {
		return wrongSettings(fmt.Errorf("a host in %s mode needs a workers file: name one with --workers (YAML_FILE)", mode))
	}
	if mode == modeSingle {
		o.settings.Warm = 0 // there is no next task
		deps, err := hostDeps(cfg, o.settings, nil, o.log)
		if err != nil {
			return err
		}
		defer beside(ctx, tellManager(ctx, func(context.Context) standing { return standing{up: true, text: "runs one task"} }, o.log))()
		code, err := host.RunSingle(ctx, cfg, deps, o.log)
		if code == 0 && err == nil {
			return nil
		}
		return &exitError{max(code, 1), err}
	}
	var l *links
	if at != nil {
		if l, err = newLinks(*at, "skalds-host", o.log); err != nil {
			return err
		}
		defer func() {
			if err := l.Close(); err != nil {
				o.log.Debug("cannot close the connections", "err", err)
			}
		}()
	}
	h, err := newHost(cfg, o.settings, l, o.log)
	if err != nil {
		return err
	}
	if !o.tied { // else the program that started this host watches the disk
		defer beside(ctx, func(ctx context.Context) error { disk{o.settings.DataDir}.watch(ctx, o.log); return nil })()
		defer beside(ctx, tellManager(ctx, lookAtHost(h), o.log))()
	}
	return h.Run(ctx)
}

// beside runs a service that never fails; the function that it returns ends it.
func beside(ctx context.Context, service func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = service(ctx) })
	return func() { cancel(); wg.Wait() }
}

// services says where bus and Redis are and how long a lease is; nil: this host is alone.
func (o *hostOptions) services() (*services, time.Duration, error) {
	s := o.settings
	lease := s.Lease.D()
	switch {
	case s.SkaldMode == modeSingle:
		return nil, lease, nil
	case o.join != "":
		j, err := embedded.ReadJoin(o.join)
		if err != nil {
			return nil, 0, wrongSettings(err)
		}
		at := joined(j)
		if !o.said("skalds_lease") {
			lease = embeddedLease
			if j.Lease > 0 {
				lease = j.Lease.D()
			}
		}
		return &at, lease, nil
	case o.said("kafka_host") != o.said("redis_host"):
		have, lacks := "KAFKA_HOST", "REDIS_HOST"
		if o.said("redis_host") {
			have, lacks = lacks, have
		}
		return nil, 0, wrongSettings(fmt.Errorf("%s is set and %s is missing: a host needs both to reach its controllers, or neither to work alone", have, lacks))
	case o.said("kafka_host"):
		at := clusterServices(s)
		return &at, lease, nil
	case s.SkaldMode == modeNode:
		return nil, 0, wrongSettings(errors.New("a host in node mode must know where its controllers are: name the join file of a standalone with --join, or KAFKA_HOST and REDIS_HOST"))
	}
	return nil, lease, nil
}

// hostConfig is what the settings say about the host of this process.
func hostConfig(s conf.Settings, lease time.Duration) host.Config {
	cfg := host.DefaultConfig()
	cfg.NodeID, cfg.WorkersFile, cfg.DataDir, cfg.Labels = s.SkaldID, s.YAMLFile, s.DataDir, s.Labels
	cfg.Lease, cfg.Heartbeat, cfg.Grace = lease, s.Heartbeat(lease), s.Grace.D()
	cfg.HeartbeatTTL = max(cfg.HeartbeatTTL, lease+5*time.Second)
	cfg.LogDir, cfg.LogSplit, cfg.LogRotationMB, cfg.LogRetention = s.LogDir(), s.LogSplitWithWorkerID, s.LogRotationMB, s.LogRetention.D()
	cfg.WorkerRetry, cfg.Program = s.TaskWorkerRetry, version
	return cfg
}
