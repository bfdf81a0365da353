package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Controller decides. Everything that a person or a program can ask of it goes through its services; Run does the work.
type Controller struct {
	cfg        Config
	store      Store
	clock      Clock
	log        hclog.Logger
	cluster    *cluster
	tasks      *TaskService
	nodes      *NodeService
	events     *Events
	health     *Health
	dispatcher *dispatcher
	applier    *applier
	watch      *nodeWatch
	outbox     *outbox
	unanswered *unanswered
	publisher  *publisher
	requests   *requests
	pruning    *pruning
	usage      *usageKeeper

	generation atomic.Int64
	leading    atomic.Bool
	loaded     chan struct{} // closed when the picture is complete
	caught     chan struct{} // closed when reports of before the start are applied
}

// New puts a controller together. It opens nothing and starts nothing.
func New(cfg Config, store Store, bus Bus, beats HeartbeatStore, clock Clock, log hclog.Logger) (*Controller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if store == nil || bus == nil || beats == nil {
		return nil, errors.New("new controller: store, bus and heartbeat store are needed")
	}
	if clock == nil {
		clock = wallClock{}
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	log = log.Named("controller")
	c := &Controller{cfg: cfg, store: store, clock: clock, log: log, loaded: make(chan struct{}), caught: make(chan struct{})}
	c.cluster = newCluster(cfg)
	c.outbox = newOutbox(bus, c.cluster, log.Named("outbox"))
	c.publisher = newPublisher(bus, log.Named("publisher"))
	queue := newWaiting()
	c.unanswered = &unanswered{
		store: store, cluster: c.cluster, outbox: c.outbox, clock: clock, first: cfg.Resend, generation: c.generation.Load,
		log: log.Named("commands"), sent: map[string]*sentCommand{},
	}
	c.tasks = &TaskService{
		cfg: cfg, store: store, cluster: c.cluster, waiting: queue, unanswered: c.unanswered, publisher: c.publisher,
		streams: newStreams(cfg, c.outbox), schemas: newSchemas(), loaded: c.loaded, clock: clock, log: log.Named("tasks"),
	}
	c.dispatcher = &dispatcher{
		store: store, tasks: c.tasks, cluster: c.cluster, waiting: queue, clock: clock, log: log.Named("dispatcher"), wake: make(chan struct{}, 1),
	}
	c.tasks.dispatcher = c.dispatcher
	c.watch = &nodeWatch{
		cfg: cfg, store: store, bus: bus, beats: beats, cluster: c.cluster, tasks: c.tasks, outbox: c.outbox, clock: clock,
		log: log.Named("monitor"), ready: c.caught, look: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	d := newDesk(store, c.cluster, c.tasks, c.outbox, c.watch, log.Named("desk"))
	c.applier = newApplier(store, bus, c.tasks, c.outbox, d, clock, log.Named("reports"))
	c.nodes = &NodeService{store: store, cluster: c.cluster, tasks: c.tasks, log: log.Named("nodes")}
	c.events = newEvents(bus, log.Named("events"))
	c.requests = &requests{bus: bus, tasks: c.tasks, log: log.Named("requests")}
	c.pruning = &pruning{cfg: cfg, store: store, clock: clock, log: log.Named("pruning")}
	c.usage = &usageKeeper{store: store, cluster: c.cluster, history: c.cluster.history, clock: clock, log: log.Named("usage")}
	c.health = &Health{store: store, bus: bus, beats: beats, cluster: c.cluster, leading: c.leadership}
	return c, nil
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

// Tasks is what users can do with tasks.
func (c *Controller) Tasks() *TaskService { return c.tasks }

// Nodes is what users can do with nodes.
func (c *Controller) Nodes() *NodeService { return c.nodes }

// Events is the stream of changes.
func (c *Controller) Events() *Events { return c.events }

// Streams takes what hosts post.
func (c *Controller) Streams() *Streams { return c.tasks.streams }

// Health says which services answer.
func (c *Controller) Health() *Health { return c.health }

func (c *Controller) leadership() string {
	if c.leading.Load() {
		return ""
	}
	return "starting: what nodes reported before is being applied"
}

// Run works until ctx ends, and returns when every goroutine of it is gone. What every controller does (watching
// heartbeats, serving events, sending) and what only the leader does (deciding) are two groups: today one process does
// both, and a lease will stand before lead.
func (c *Controller) Run(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	close(c.loaded)
	if ctx.Err() != nil {
		return nil
	}
	return runAll(ctx, map[string]func(context.Context) error{
		"events": c.events.Run, "publisher": c.publisher.Run, "outbox": c.outbox.Run, "monitor": c.watch.Run,
		"requests": c.requests.Run, "leader": c.lead,
	})
}

// lead decides until ctx ends: first everything that hosts have reported so far is applied, then tasks are handed out.
func (c *Controller) lead(ctx context.Context) error {
	c.applier.caught = func() { close(c.caught) }
	decide := func(run func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-c.caught:
				c.leading.Store(true)
				return run(ctx)
			}
		}
	}
	defer c.leading.Store(false)
	return runAll(ctx, map[string]func(context.Context) error{
		"reports": c.applier.Run, "dispatcher": decide(c.dispatcher.Run), "commands": decide(c.unanswered.Run), "pruning": c.pruning.Run,
		"usage": c.usage.Run,
	})
}

// runAll runs services side by side until ctx ends or one of them fails, and returns when all are gone.
func runAll(ctx context.Context, services map[string]func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for name, run := range services {
		wg.Go(func() {
			defer cancel()
			if err := run(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// loadPage is how many tasks are read at once at the start.
const loadPage = 1000

// load builds the picture from the store, waiting for it where it is away.
func (c *Controller) load(ctx context.Context) error {
	for try := 0; ; try++ {
		err := c.loadOnce(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if skalds.CodeOf(err) != skalds.CodeInternal && skalds.CodeOf(err) != skalds.CodeUnavailable {
			return fmt.Errorf("start controller: %w", err)
		}
		if try == 0 {
			c.log.Error("cannot read the store: tried again until it works", "err", err)
		}
		rest(ctx, time.Second)
	}
}

func (c *Controller) loadOnce(ctx context.Context) error {
	generation, err := c.store.Generation(ctx)
	if err != nil {
		return fmt.Errorf("read generation: %w", err)
	}
	c.generation.Store(generation)
	nodes, err := c.store.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("read nodes: %w", err)
	}
	workers, err := c.store.Workers(ctx)
	if err != nil {
		return fmt.Errorf("read workers: %w", err)
	}
	now := c.clock.Now()
	c.cluster.load(nodes, workers, now)
	if err := c.loadProfiles(ctx); err != nil {
		return err
	}
	f := TaskFilter{States: []skalds.State{skalds.Assigning, skalds.Running, skalds.Paused}, Limit: loadPage}
	count := 0
	for {
		page, err := c.store.Tasks(ctx, f)
		if err != nil {
			return fmt.Errorf("read tasks: %w", err)
		}
		for _, t := range page.Items {
			if t.Executor != "" {
				c.cluster.expect(t.Executor, now)
				c.cluster.hold(t, now)
				count++
			}
		}
		if page.Next == "" {
			break
		}
		f.Cursor = page.Next
	}
	c.log.Info("controller runs", "id", c.cfg.ID, "nodes", len(nodes), "workers", len(workers), "tasks_on_nodes", count)
	return nil
}
