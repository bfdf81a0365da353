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
	bus        Bus
	clock      Clock
	log        hclog.Logger
	cluster    *cluster
	picture    *picture
	leadership *leadership
	hearing    *hearing
	tasks      *TaskService // for users
	nodes      *NodeService
	events     *Events
	health     *Health
	outbox     *outbox
	publisher  *publisher
	unclear    *unclear
	auditor    *auditor
	watch      *nodeWatch
	originals  *originalNodes // nil: there can be none
	leader     leader

	caught atomic.Bool   // reports of before the present term are applied
	loaded chan struct{} // closed when the picture is complete
}

// leader are the parts that only work in who leads; they write through a fenced store.
type leader struct {
	store      Store
	tasks      *TaskService
	dispatcher *dispatcher
	unanswered *unanswered
	waiting    *waiting
	requests   *requests
	pruning    *pruning
}

// New puts a controller together. It opens nothing and starts nothing. A nil clock is that of package time, a nil log is silent.
func New(cfg Config, store Store, bus Bus, beats HeartbeatStore, clock Clock, log hclog.Logger) (*Controller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if store == nil || bus == nil || beats == nil {
		return nil, errors.New("new controller: store, bus and heartbeat store are needed")
	}
	if clock == nil {
		clock = wallClock{time.Now()}
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	log = log.Named("controller")
	c := &Controller{cfg: cfg, store: store, bus: bus, clock: clock, log: log, loaded: make(chan struct{})}
	c.leadership = newLeadership(store, cfg, clock, log.Named("leader"))
	leads := c.leadership.decides
	fenced := fencedStore{store, leads}
	c.cluster = newCluster(cfg)
	c.picture = &picture{store: store, cluster: c.cluster, clock: clock, log: log}
	c.outbox = newOutbox(c.termNow, bus, c.cluster, log.Named("outbox"))
	c.publisher = newPublisher(cfg.ID, c.termNow, bus, log.Named("publisher"))
	c.hearing = newHearing(cfg.ID, log.Named("hearing"))
	c.unclear = &unclear{clock: clock, log: log.Named("unclear"), wake: make(chan struct{}, 1), open: map[string]unclearWrite{}}
	c.picture.unclear = c.unclear
	c.auditor = newAuditor(store, log.Named("audit"))
	queue := newWaiting()
	open := &unanswered{
		store: fenced, cluster: c.cluster, outbox: c.outbox, clock: clock, first: cfg.Resend, generation: c.picture.generation.Load,
		log: log.Named("commands"), sent: map[string]*sentCommand{},
	}
	c.tasks = &TaskService{
		cfg: cfg, store: store, cluster: c.cluster, waiting: queue, unanswered: open, publisher: c.publisher, unclear: c.unclear, auditor: c.auditor, picture: c.picture,
		leads: leads, streams: newStreams(cfg, c.outbox), schemas: newSchemas(), loaded: c.loaded, clock: clock, log: log.Named("tasks"),
	}
	deciding := *c.tasks
	deciding.store = fenced
	d := &dispatcher{
		store: fenced, tasks: &deciding, cluster: c.cluster, waiting: queue, picture: c.picture, leads: leads, clock: clock,
		log: log.Named("dispatcher"), wake: make(chan struct{}, 1), formers: formers{why: map[string]string{}},
	}
	c.tasks.dispatcher, deciding.dispatcher = d, d
	c.unclear.tasks = c.tasks
	c.hearing.tasks, c.hearing.picture, c.hearing.leadership = &deciding, c.picture, c.leadership
	c.watch = &nodeWatch{
		cfg: cfg, store: fenced, bus: bus, beats: beats, cluster: c.cluster, tasks: &deciding, outbox: c.outbox, clock: clock,
		log: log.Named("monitor"), leads: leads, busHeard: c.leadership.hears, look: make(chan struct{}, 1), next: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	open.takesBack = c.watch.takesBack
	c.nodes = &NodeService{store: store, cluster: c.cluster, tasks: c.tasks, log: log.Named("nodes")}
	c.events = newEvents(bus, c.hearing.change, c.hearing.missed, log.Named("events"))
	c.leader = leader{
		store: fenced, tasks: &deciding, dispatcher: d, unanswered: open, waiting: queue,
		requests: &requests{store: fenced, bus: bus, tasks: &deciding, log: log.Named("requests")},
		pruning:  &pruning{cfg: cfg, store: fenced, beats: beats, cluster: c.cluster, clock: clock, log: log.Named("pruning")},
	}
	c.originals = newOriginalNodes(cfg, fenced, bus, beats, c.cluster, &deciding, leads, clock, log.Named("originals"))
	c.tasks.originals, deciding.originals = c.originals, c.originals
	c.health = &Health{store: store, bus: bus, beats: beats, cluster: c.cluster, leading: c.whoLeads, leader: c.leadership.leader, own: skalds.ControllerInfo{ID: cfg.ID, URL: cfg.ServerURL, Leader: true}}
	return c, nil
}

// termNow is the term in which this controller leads; 0: it does not.
func (c *Controller) termNow() int64 {
	if !c.leadership.decides() {
		return 0
	}
	return c.leadership.term.Load()
}

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

// whoLeads says why nothing is decided; empty: somebody leads.
func (c *Controller) whoLeads(storeAway bool) string {
	switch leader := c.leadership.leader(); {
	case leader == "" && storeAway:
		return "no controller leads without the store: running tasks go on, and what is asked for is refused until it answers"
	case leader == "":
		return "no controller leads: tasks are accepted, and wait"
	case leader == c.cfg.ID && !c.caught.Load():
		return "starting: what nodes reported before is being applied"
	}
	return ""
}

// Leader names the controller that leads, as far as is known here; empty: none does.
func (c *Controller) Leader() string { return c.leadership.leader() }

// Run works until ctx ends, and returns when every goroutine of it is gone. Every controller observes nodes, serves and announces
// changes; one of them leads.
func (c *Controller) Run(ctx context.Context) error {
	if err := c.picture.load(ctx); err != nil {
		return fmt.Errorf("start controller: %w", err)
	}
	if ctx.Err() != nil { // it may have stopped before the store was read: nobody must ask what it knows
		return nil
	}
	close(c.loaded)
	c.log.Info("controller runs", "id", c.cfg.ID, "nodes", len(c.cluster.views()), "workers", len(c.cluster.plugins()))
	services := map[string]func(context.Context) error{
		"events": c.events.Run, "hearing": c.hearing.Run, "publisher": c.publisher.Run, "outbox": c.outbox.Run, "monitor": c.watch.Run,
		"unclear": c.unclear.Run, "audit": c.auditor.Run,
	}
	if c.originals != nil {
		services["Python nodes"] = c.originals.Watch
	}
	if c.cfg.Leads {
		services["leader"] = func(ctx context.Context) error { return c.leadership.Run(ctx, c.lead, c.announceFree) }
	} else {
		services["leader"] = c.leadership.Watch
	}
	return runAll(ctx, services)
}

// announceFree tells the other controllers that they need not wait for the lease to end.
func (c *Controller) announceFree() {
	ctx, cancel := context.WithTimeout(context.Background(), leaderTimeout)
	defer cancel()
	change := skalds.Change{Type: skalds.ChangeLeader, Status: skalds.LeaderFree, By: c.cfg.ID, At: c.clock.Now().UnixMilli()}
	if err := c.bus.PublishChange(ctx, change); err != nil {
		c.log.Debug("cannot announce that the leader's lease is free", "err", err)
	}
}

// lead decides until ctx ends: first everything that hosts have reported so far is applied, then tasks are handed out.
func (c *Controller) lead(ctx context.Context) error {
	c.caught.Store(false)
	l := c.leader
	l.waiting.reset()
	l.unanswered.reset()
	c.cluster.lead(true)
	defer c.cluster.lead(false)
	if err := c.picture.load(ctx); err != nil {
		return fmt.Errorf("lead: %w", err)
	}
	if !c.cfg.Alone { // the leader before may have stored changes that it did not announce any more
		c.publisher.publish(skalds.Change{Type: skalds.ChangeLeader, Status: skalds.LeaderTaken, At: c.clock.Now().UnixMilli()})
	}
	caught := make(chan struct{})
	decide := func(run func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-caught:
				return run(ctx)
			}
		}
	}
	desk := newDesk(l.store, c.cluster, l.tasks, c.outbox, c.watch, c.log.Named("desk"))
	reports := newApplier(l.store, c.bus, l.tasks, c.outbox, desk, c.clock, c.log.Named("reports"))
	reports.caught = func() {
		c.caught.Store(true)
		close(caught)
	}
	usage := &usageKeeper{store: l.store, cluster: c.cluster, history: c.cluster.history, clock: c.clock, log: c.log.Named("usage")}
	services := map[string]func(context.Context) error{
		"reports": reports.Run, "judge": decide(c.watch.Judge), "dispatcher": decide(l.dispatcher.Run), "commands": decide(l.unanswered.Run),
		"requests": l.requests.Run, "pruning": l.pruning.Run, "usage": usage.Run,
	}
	if c.originals != nil {
		services["Python tasks"] = decide(c.originals.Drive)
	}
	return runAll(ctx, services)
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
