package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// Bounds of a shutdown, beyond the grace of the workers.
const (
	flushTimeout  = 3 * time.Second
	logSweepEvery = time.Hour
	// firstScan is how long the first look at the workers may hold up the sources: one that hangs delays no task for long.
	firstScan = 3 * time.Second
)

// Deps are what a host works with. Bus, Beats and Cache may be nil: a host alone.
type Deps struct {
	Catalog  *plugins.Catalog
	Launcher *plugins.Launcher
	Sampler  *procstats.Sampler
	Bus      Bus
	Beats    HeartbeatStore
	Cache    Cache
	Where    []any // where Bus and Beats are, as pairs of name and address for the log; may be empty
	// Farewell is what the launcher's shim needs to tell the controllers that this host has gone; nil: nobody is to be told.
	Farewell func(nodeID string, incarnation int64) (json.RawMessage, error)
}

// Host runs tasks on this machine.
type Host struct {
	cfg     Config
	deps    Deps
	log     hclog.Logger
	session atomic.Pointer[session] // nil: Run has not come so far
}

// New checks the configuration. Run does the rest.
func New(cfg Config, d Deps, log hclog.Logger) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if d.Catalog == nil || d.Launcher == nil || d.Sampler == nil {
		return nil, errors.New("new host: catalog, launcher and sampler are needed")
	}
	if cfg.Node && d.Bus == nil {
		return nil, skalds.Errorf(skalds.CodeInvalid, "a host in node mode needs a bus: name one with --kafka or --join, or start it with --mode edge")
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Host{cfg: cfg, deps: d, log: log.Named("host")}, nil
}

// session is one run of a host: everything that lives between claiming its data folder and letting go of it.
type session struct {
	cfg      Config
	deps     Deps
	log      hclog.Logger
	id       *identity
	journal  *journal
	reporter *reporter
	logs     *taskLogs
	roster   *roster
	beats    *heartbeats
	node     *nodeSource // nil: no bus
	edge     *edgeSource // nil: no edge source
	streams  *streams
	onReady  func()        // called once, when tasks can be started; may be nil
	started  chan struct{} // closed then

	refused  atomic.Bool // another live host has this one's id
	failOnce sync.Once
	failed   chan error // why the host cannot go on
}

// open claims the data folder and puts the parts together; nothing runs yet but the journal.
func (h *Host) open() (*session, error) {
	dataDir, err := filepath.Abs(h.cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("start host: %w", err)
	}
	s := &session{cfg: h.cfg, deps: h.deps, log: h.log, failed: make(chan error, 1), started: make(chan struct{})}
	s.cfg.DataDir = dataDir
	dir := filepath.Join(dataDir, "host")
	if s.id, err = claim(dir, h.cfg.NodeID); err != nil {
		return nil, fmt.Errorf("start host: %w", err)
	}
	if s.journal, err = openJournal(dir, h.log.Named("journal")); err != nil {
		return nil, errors.Join(fmt.Errorf("start host: %w", err), s.id.Close())
	}
	s.log = h.log.With("node_id", s.id.NodeID)
	s.wire()
	return s, nil
}

// wire connects the parts.
func (s *session) wire() {
	nodeID, incarnation := s.id.NodeID, s.journal.incarnation()
	cache := s.deps.Cache
	if cache == nil {
		cache = newMemoryCache(time.Now)
	}
	s.reporter = newReporter(nodeID, s.journal, s.deps.Bus, s.deps.Beats, time.Now, s.log.Named("reporter"))
	s.logs = newTaskLogs(s.cfg, s.log.Named("task"))
	s.streams = newStreams(s.logs, s.log.Named("streams"))
	s.roster = newRoster(s.log.Named("runner"))
	isolation := s.deps.Launcher.Isolation()
	s.beats = &heartbeats{
		cfg: s.cfg, nodeID: nodeID, incarnation: incarnation, bus: s.deps.Bus, beats: s.deps.Beats, roster: s.roster,
		catalog: s.deps.Catalog, sampler: s.deps.Sampler, enforcement: s.deps.Launcher.Enforcement, isolation: isolation, room: &memoryRoom{roster: s.roster},
		trouble:   func() []skalds.NodeProblem { return nil },
		partition: func() int32 { return 0 }, regained: func() {}, duplicate: s.refuse,
		holdLease: s.deps.Launcher.HoldLease, expired: s.leaseLost, log: s.log.Named("heartbeat"),
		kick: make(chan struct{}, 1), lease: lease{length: s.cfg.Lease},
	}
	s.deps.Launcher.OnSilence(s.silent)
	s.roster.deps = &runnerDeps{
		nodeID: nodeID, dataDir: s.cfg.DataDir, grace: s.cfg.Grace, workerRetry: s.cfg.WorkerRetry,
		catalog: s.deps.Catalog, launcher: s.deps.Launcher, isolation: isolation, journal: s.journal, reporter: s.reporter, logs: s.logs, cache: cache,
		checkpoints: checkpoints{filepath.Join(s.cfg.DataDir, "checkpoints")}, secrets: secrets{filepath.Join(s.cfg.DataDir, "secrets")},
		schemas: &schemaCache{}, now: time.Now, random: rand.Float64,
		running: s.roster.running, memoryRoom: s.beats.room.left, changed: s.beats.changed, ended: s.taskEnded,
	}
	if s.cfg.Edge && s.cfg.WorkersFile != "" {
		s.edge = newEdgeSource(s.cfg, nodeID, s.journal, s.reporter, s.roster, s.log.Named("edge"))
		s.roster.deps.entry, s.beats.trouble = s.edge.entry, s.edge.trouble
	}
	if s.deps.Bus != nil {
		s.node = &nodeSource{
			nodeID: nodeID, cfg: s.cfg, bus: s.deps.Bus, journal: s.journal, reporter: s.reporter, roster: s.roster,
			workers: s.deps.Catalog.Workers, attached: s.attached, leaseOK: s.beats.holds, refuse: s.refuse, log: s.log.Named("node"),
		}
		if s.edge != nil {
			s.node.edge, s.node.command = s.edge.answered, s.edge.commanded
		}
		s.beats.partition, s.beats.regained = s.node.position, s.node.anew
	}
}

// fail ends the host with an error.
func (s *session) fail(err error) {
	s.failOnce.Do(func() { s.failed <- err })
}

// refuse ends the host because another live one has its id.
func (s *session) refuse(err error) {
	s.refused.Store(true)
	s.fail(err)
}

// attached hears that a controller has answered a hello.
func (s *session) attached(a skalds.HelloAnswer) {
	s.beats.attach()
	if s.edge != nil {
		s.edge.attached(a)
	}
}

// leaseLost kills what another node may run from now on.
func (s *session) leaseLost() {
	if s.node != nil {
		s.node.shut() // until a hello after its return is answered
	}
	for _, t := range s.roster.all() {
		if t.stopsWithoutLease() {
			t.leave(departure{kind: skalds.ExitLeaseLost, message: "no heartbeat of this node got through for the length of its lease", atOnce: true})
		}
	}
}

// silent hears that the shim has killed workers because this host stood still, and has told the controllers, who hand their
// tasks to others: all dispatched ones leave, those that are kept too, and none is begun again in its epoch. Those of a file
// go on here. Where only the lease was over, it is as if we had noticed.
func (s *session) silent(leaseOnly bool) {
	if leaseOnly {
		s.leaseLost()
		return
	}
	if s.node != nil {
		s.node.shut()
	}
	for _, t := range s.roster.all() {
		if t.origin == fromController {
			t.leave(departure{kind: skalds.ExitLeaseLost, message: "the host stood still, and its shim killed all workers", atOnce: true})
		}
	}
	if s.node != nil {
		s.node.hello()
	}
}

// taskEnded hears of every runner that has come to its end.
func (s *session) taskEnded(t *taskRunner, state skalds.State) {
	if s.edge != nil && t.origin == fromFile {
		s.edge.ended(t.taskID, t.seen().epoch, state, t.lastExit)
	}
	s.beats.changed()
}

// Run runs the host until ctx ends or it cannot go on; then it stops every instance within its grace, gives dispatched
// tasks back, and returns when no process and no goroutine of it is left.
func (h *Host) Run(ctx context.Context) error {
	s, err := h.open()
	if err != nil {
		return errors.Join(err, endLauncher(ctx, h.deps.Launcher))
	}
	h.session.Store(s)
	err = s.run(ctx)
	return errors.Join(err, s.journal.Close(), s.id.Close())
}

// endLauncher releases what a launcher holds that was never run.
func endLauncher(ctx context.Context, l *plugins.Launcher) error {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	return l.Run(ended)
}

func (s *session) run(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	if err := watchBeforeStart(ctx, s.deps.Beats, s.id.NodeID, s.journal.incarnation(), s.journal.former, s.cfg.Heartbeat); err != nil {
		return errors.Join(err, endLauncher(ctx, s.deps.Launcher))
	}
	if ctx.Err() != nil { // it has said nothing, so that nobody need know
		return endLauncher(ctx, s.deps.Launcher)
	}
	switch n, err := s.deps.Launcher.Sweep(ctx); {
	case err != nil:
		s.log.Error("cannot look for processes of a former host", "err", err)
	case n > 0:
		s.log.Warn("a former host left processes behind: they are killed", "killed", n)
	}
	s.prepareFarewell()
	processes, endProcesses := context.WithCancel(base) // the launcher: last to go
	defer endProcesses()
	services, endServices := context.WithCancel(base) // reports and heartbeats: after the tasks
	defer endServices()
	sources, endSources := context.WithCancel(base) // whatever brings new work: first to go
	defer endSources()
	s.roster.ctx = base

	var last, middle, first sync.WaitGroup
	last.Go(func() { s.must("launcher", s.deps.Launcher.Run(processes)) })
	scanned := make(chan struct{})
	last.Go(func() {
		if err := s.deps.Catalog.Scan(processes); err != nil && processes.Err() == nil {
			s.log.Error("cannot look for workers", "err", err)
		}
		close(scanned)
		s.must("catalog", s.deps.Catalog.Run(processes))
	})
	middle.Go(func() { s.must("reporter", s.reporter.Run(services)) })
	middle.Go(func() { s.must("heartbeat", s.beats.Run(services)) })
	select { // tasks that come before their worker is known have to wait longer
	case <-scanned:
	case <-ctx.Done():
	case <-time.After(firstScan):
	}
	unsubscribe := s.deps.Catalog.Subscribe(s.workersChanged)
	starting := ctx.Err() == nil // else nothing new is begun
	if s.edge != nil && starting {
		first.Go(func() { s.must("edge source", s.edge.Run(sources)) })
	}
	if s.node != nil && starting {
		s.node.stream = func(r skalds.StreamRequest) { s.streams.serve(services, r) }
		first.Go(func() { s.must("node source", s.node.Run(sources)) })
	}
	if s.onReady != nil {
		s.onReady()
	}
	close(s.started)
	first.Go(func() { s.sweepLogs(sources) })
	if starting {
		facts := []any{"incarnation", s.journal.incarnation(), "node", s.cfg.Node, "edge", s.edge != nil, "data_dir", s.cfg.DataDir}
		s.log.Info("host runs", append(facts, s.deps.Where...)...)
	}

	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping", "reason", context.Cause(ctx), "tasks", len(s.roster.all()))
	case err = <-s.failed:
		s.log.Error("the host cannot go on", "err", err)
	}
	unsubscribe()
	endSources()
	first.Wait()
	s.roster.close(farewell)
	if s.deps.Bus != nil {
		if s.beats.wasAttached() && !s.refused.Load() { // else the node is another's, or nobody's
			s.reporter.send(skalds.HostMessage{Bye: true})
		}
		flush, cancel := context.WithTimeout(base, flushTimeout)
		s.reporter.flush(flush)
		cancel()
	}
	endServices()
	middle.Wait()
	s.streams.close()
	endProcesses()
	last.Wait()
	return err
}

// prepareFarewell tells the shim what to say when this host dies.
func (s *session) prepareFarewell() {
	if s.deps.Farewell == nil {
		return
	}
	data, err := s.deps.Farewell(s.id.NodeID, s.journal.incarnation())
	if err == nil {
		err = s.deps.Launcher.SetFarewell(data)
	}
	if err != nil {
		s.log.Warn("if this host dies, the controllers learn of it when its lease is over and not before", "err", err)
	}
}

// farewell is why each task leaves a host that stops: dispatched ones are given back, those of a file stay its own.
func farewell(t *taskRunner) departure {
	return departure{kind: skalds.ExitHostStop, message: "the host was stopped", quiet: t.origin != fromController}
}

// must turns the failure of a part into that of the host.
func (s *session) must(part string, err error) {
	if err != nil {
		s.fail(fmt.Errorf("%s: %w", part, err))
	}
}

// workersChanged hears that workers came or went: the controllers must know, and a waiting task may start.
func (s *session) workersChanged() {
	if s.node != nil {
		s.node.hello()
	}
	s.beats.changed()
	s.roster.nudge()
}

func (s *session) sweepLogs(ctx context.Context) {
	t := time.NewTicker(logSweepEvery)
	defer t.Stop()
	for {
		if n := s.logs.sweep(time.Now()); n > 0 {
			s.log.Debug("old log files removed", "files", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
