package controller_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// several are controllers over one store and one bus, each of which can be killed, frozen and stopped.
type several struct {
	*world
	list []*oneOf
}

// oneOf is one of several controllers.
type oneOf struct {
	*controller.Controller
	id     string
	cancel context.CancelFunc
	done   chan error
	clock  *stoppedClock
	store  *gate
	bus    *busGate
}

// gate and busGate let nothing through while their controller is killed or frozen: a process that is stopped does nothing.
type gate struct {
	controller.Store
	shut    atomic.Bool
	unheard atomic.Bool // the next lease is stored, but nobody hears the answer
}

func (g *gate) pass(ctx context.Context) error {
	for g.shut.Load() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func (g *gate) Save(ctx context.Context, t *skalds.Task) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.Store.Save(ctx, t)
}

func (g *gate) Leader(ctx context.Context) (controller.LeaderLease, error) {
	if err := g.pass(ctx); err != nil {
		return controller.LeaderLease{}, err
	}
	return g.Store.Leader(ctx)
}

func (g *gate) SaveLeader(ctx context.Context, prev, next controller.LeaderLease) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	err := g.Store.SaveLeader(ctx, prev, next)
	if err == nil && g.unheard.Swap(false) {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

type busGate struct {
	controller.Bus
	*gate
	off atomic.Bool // no way leads to the bus
}

var errNoWay = errors.New("no route to host")

// reach fails where there is no way.
func (b *busGate) reach(ctx context.Context) error {
	if b.off.Load() {
		return errNoWay
	}
	return b.pass(ctx)
}

func (b *busGate) Heartbeats(ctx context.Context, alive func(), fn func(skalds.ShortHeartbeat)) error {
	return b.Bus.Heartbeats(ctx, func() {
		if !b.off.Load() {
			alive()
		}
	}, func(h skalds.ShortHeartbeat) {
		if !b.off.Load() {
			fn(h)
		}
	})
}

func (b *busGate) Ping(ctx context.Context) error { return b.Bus.Ping(ctx) }
func (b *busGate) Close() error                   { return b.Bus.Close() }

func (b *busGate) Send(ctx context.Context, p int32, msgs ...skalds.NodeMessage) error {
	if err := b.reach(ctx); err != nil {
		return err
	}
	return b.Bus.Send(ctx, p, msgs...)
}

func (b *busGate) PublishChange(ctx context.Context, changes ...skalds.Change) error {
	if err := b.reach(ctx); err != nil {
		return err
	}
	return b.Bus.PublishChange(ctx, changes...)
}

// stoppedClock is the clock of a bubble.
type stoppedClock struct{ began time.Time }

func (*stoppedClock) Now() time.Time           { return time.Now() }
func (c *stoppedClock) Elapsed() time.Duration { return time.Since(c.began) }

// inSeveral runs a test with n controllers in fake time.
func inSeveral(t *testing.T, n int, test func(t *testing.T, s *several)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &several{world: &world{t: t, store: controllertest.NewStore(), bus: controllertest.NewBus(), cfg: controller.DefaultConfig()}}
		s.cfg.Alone = false
		for i := range n {
			s.add(fmt.Sprintf("c%d", i))
			if i == 0 {
				s.awaitLeader() // the first one
			}
		}
		defer func() {
			for _, h := range s.hosts {
				h.Kill()
			}
			for _, o := range s.list {
				s.end(o)
			}
		}()
		test(t, s)
	})
}

func (s *several) add(id string) *oneOf {
	s.t.Helper()
	cfg := s.cfg
	cfg.ID, cfg.ServerURL = id, "http://"+id+".example:8000"
	g := &gate{Store: s.store}
	if s.wrap != nil {
		g.Store = s.wrap(s.store)
	}
	o := &oneOf{id: id, clock: &stoppedClock{time.Now()}, store: g, bus: &busGate{Bus: s.bus, gate: g}, done: make(chan error, 1)}
	c, err := controller.New(cfg, o.store, o.bus, s.bus.Beats(), o.clock, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	o.Controller = c
	if s.Controller == nil {
		s.Controller = c
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	o.cancel = cancel
	go func() { o.done <- c.Run(ctx) }()
	synctest.Wait()
	s.list = append(s.list, o)
	return o
}

// end stops a controller in good order, or clears away after one that was killed.
func (s *several) end(o *oneOf) {
	if o.done == nil {
		return
	}
	o.cancel()
	if err := <-o.done; err != nil {
		s.t.Errorf("controller %s: %v", o.id, err)
	}
	o.done = nil
}

// leading is the controller that says it leads; a test fails where two do.
func (s *several) leading() *oneOf {
	var leader *oneOf
	for _, o := range s.list {
		if o.done == nil || o.store.shut.Load() || o.Leader() != o.id {
			continue
		}
		if leader != nil {
			s.t.Fatalf("both %s and %s lead", leader.id, o.id)
		}
		leader = o
	}
	return leader
}

// other is one that does not lead.
func (s *several) other() *oneOf {
	for _, o := range s.list {
		if o.done != nil && o != s.leading() && !o.store.shut.Load() {
			return o
		}
	}
	s.t.Fatal("all lead")
	return nil
}

// awaitLeader waits until one leads whose work has begun, and says how long that took.
func (s *several) awaitLeader() (*oneOf, time.Duration) {
	s.t.Helper()
	began := time.Now()
	s.await("one leads", func() bool {
		o := s.leading()
		return o != nil && o.Health().Ready(s.t.Context())["leader"] == ""
	})
	return s.leading(), time.Since(began)
}

func (o *oneOf) create(t *testing.T, id string) {
	t.Helper()
	_, created, err := o.Tasks().Create(t.Context(), controller.CreateRequest{Spec: skalds.Spec{ID: id, ClassName: "Demo"}, Who: "test"})
	if err != nil || !created {
		t.Fatalf("create %s: created %v, %v", id, created, err)
	}
}

func TestOneOfSeveralLeads(t *testing.T) {
	inSeveral(t, 3, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		h := s.startHost(s.host("n1"))
		h.Behave = forever
		other := s.other()
		s.await("all know the class", func() bool { w, err := other.Nodes().Workers(t.Context()); return err == nil && len(w) == 1 })
		begun := time.Now()
		other.create(t, "t1")
		s.awaitState("t1", skalds.Running)
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("a task that was created at another controller ran after %s: the leader did not hear of it", took)
		}
		if _, err := other.Tasks().Cancel(t.Context(), "t1", "test"); err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		s.await("the process is gone", func() bool { return !h.Runs("t1") })
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("cancelled at another controller, it ended after %s", took)
		}
		if got := other.Leader(); got != leader.id {
			t.Errorf("%s says that %q leads, not %s", other.id, got, leader.id)
		}
	})
}

func TestAKilledLeaderIsReplaced(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		h := s.startHost(s.host("n1"))
		h.Behave = forever
		leader.create(t, "t1")
		s.awaitState("t1", skalds.Running)
		leader.store.shut.Store(true)
		next, took := s.awaitLeader()
		if next == leader || took > 3*time.Second {
			t.Errorf("%s leads after %s", next.id, took)
		}
		next.create(t, "t2")
		s.awaitState("t2", skalds.Running)
		if t1 := s.task("t1"); t1.Epoch != 1 || h.Starts("t1") != 1 {
			t.Errorf("the task that ran has epoch %d and was started %d times", t1.Epoch, h.Starts("t1"))
		}
	})
}

// TestTheLeaderHearsOfAWriteThatWasStoredAfterAll has a controller that does not lead be told that its write has failed.
func TestTheLeaderHearsOfAWriteThatWasStoredAfterAll(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		s.awaitLeader()
		h := s.startHost(s.host("n1"))
		h.Behave = forever
		s.create("a")
		s.awaitState("a", skalds.Running)
		lying, lie := &leavingStore{}, errors.New("the connection broke")
		s.wrap = func(inner controller.Store) controller.Store { lying.Store = inner; return lying }
		liar := s.add("liar")
		lying.lie.Store(&lie)
		if _, err := liar.Tasks().Cancel(t.Context(), "a", "test"); !errors.Is(err, lie) {
			t.Fatalf("cancel: %v", err)
		}
		begun := time.Now()
		s.await("the process is gone", func() bool { return !h.Runs("a") })
		if took := time.Since(begun); took > 1500*time.Millisecond {
			t.Errorf("gone after %s", took)
		}
	})
}

// registry holds what controllers announce, in memory.
type registry struct {
	mu   sync.Mutex
	list map[string]skalds.ControllerInfo
}

func (r *registry) Announce(_ context.Context, c skalds.ControllerInfo, _ time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list[c.ID] = c
	return nil
}

func (r *registry) Controllers(context.Context) ([]skalds.ControllerInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Collect(maps.Values(r.list))
	slices.SortFunc(out, func(a, b skalds.ControllerInfo) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

func (r *registry) Withdraw(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.list, id)
	return nil
}

// TestTheRoster: every controller lists all, and knows sooner than their announcements which of them leads.
func TestTheRoster(t *testing.T) {
	inSeveral(t, 3, func(t *testing.T, s *several) {
		in := &registry{list: map[string]skalds.ControllerInfo{}}
		ctx, cancel := context.WithCancel(t.Context())
		var announcers sync.WaitGroup
		defer announcers.Wait()
		defer cancel()
		for _, o := range s.list {
			announcers.Go(func() { _ = o.Announce(in, "1.0.0", "DISPATCHER")(ctx) })
		}
		leader, _ := s.awaitLeader()
		time.Sleep(5 * time.Second)
		s.end(leader)
		next, _ := s.awaitLeader()
		time.Sleep(200 * time.Millisecond) // it is looked at who leads
		for _, o := range s.list {
			if o.done == nil {
				continue
			}
			list, err := o.Roster(in)(t.Context())
			if err != nil || len(list) != 3 {
				t.Fatalf("%s lists %+v, %v", o.id, list, err)
			}
			for _, c := range list {
				if c.Leader != (c.ID == next.id) || c.Mode != "DISPATCHER" || c.Version != "1.0.0" || c.URL != "http://"+c.ID+".example:8000" || c.At == 0 {
					t.Errorf("%s lists %+v, and %s leads", o.id, c, next.id)
				}
			}
		}
	})
}

// TestEveryControllerShowsWhichNodesAreGone has a heartbeat store that keeps heartbeats for ever, as a server does that cannot expire
// fields: a controller that comes later finds the last one of a node that is gone, and does not lead.
func TestEveryControllerShowsWhichNodesAreGone(t *testing.T) {
	within := controller.DefaultConfig().Lease + controller.DefaultConfig().Lease/100 + 200*time.Millisecond + time.Second
	online := func(o *oneOf) bool {
		v, err := o.Nodes().Node(t.Context(), "n1")
		return err == nil && v.Online
	}
	t.Run("one that comes later", func(t *testing.T) {
		inSeveral(t, 2, func(t *testing.T, s *several) {
			s.awaitLeader()
			h := s.startHost(s.host("n1"))
			h.Kill()
			time.Sleep(time.Minute)
			late := s.add("late")
			time.Sleep(within)
			for _, o := range s.list {
				if online(o) {
					t.Errorf("%s shows the node as online", o.id)
				}
			}
			if next, _ := s.awaitLeader(); next == late {
				t.Fatal("the one that came later leads: this proves nothing")
			}
		})
	})
	t.Run("while nobody leads", func(t *testing.T) {
		inSeveral(t, 2, func(t *testing.T, s *several) {
			leader, _ := s.awaitLeader()
			other := s.other()
			h := s.startHost(s.host("n1"))
			s.await("the other one shows it too", func() bool { return online(other) })
			for _, o := range s.list {
				o.store.shut.Store(true) // the store is away for all
			}
			h.Kill()
			time.Sleep(within)
			if online(other) {
				t.Error("who does not lead shows the node as online")
			}
			other.store.shut.Store(false)
			leader.store.shut.Store(false)
		})
	})
}

func TestALeaderThatStopsIsReplacedAtOnce(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		s.end(leader)
		if next, took := s.awaitLeader(); next == leader || took > 200*time.Millisecond {
			t.Errorf("%s leads after %s", next.id, took)
		}
	})
}

// TestWhoDoesNotHearTheBusDoesNotLead takes the way to the bus from the one that leads, then from both.
func TestWhoDoesNotHearTheBusDoesNotLead(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		h := s.startHost(s.host("n1"))
		h.Behave = forever
		s.await("the class is known", func() bool { w, err := s.other().Nodes().Workers(t.Context()); return err == nil && len(w) == 1 })
		leader.bus.off.Store(true)
		time.Sleep(8 * time.Second) // a broker that starts again
		if s.leading() != leader {
			t.Fatal("it leads no more, after a moment without the bus")
		}
		s.await("the other leads", func() bool { o := s.leading(); return o != nil && o != leader })
		next := s.leading()
		next.create(t, "t1")
		s.awaitState("t1", skalds.Running)

		next.bus.off.Store(true)
		s.await("nobody leads", func() bool { return s.leading() == nil })
		time.Sleep(time.Minute)
		if o := s.leading(); o != nil {
			t.Fatalf("%s leads and does not hear the bus", o.id)
		}
		leader.bus.off.Store(false)
		if got, took := s.awaitLeader(); got != leader || took > 2*time.Second {
			t.Errorf("%s leads, %s after the bus came back to %s", got.id, took, leader.id)
		}
		leader.create(t, "t2")
		s.awaitState("t2", skalds.Running)
		if n := h.Starts("t1"); n != 1 {
			t.Errorf("the task that ran was started %d times", n)
		}
	})
}

// A store may carry out a renewal whose caller has left: the lease is another one then than the leader knows.
func TestALeaderThatStopsWhileItRenewsIsReplacedAtOnce(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		leader.store.unheard.Store(true)
		s.await("the leader renews its lease", func() bool { return !leader.store.unheard.Load() })
		s.end(leader)
		if next, took := s.awaitLeader(); next == leader || took > 200*time.Millisecond {
			t.Errorf("%s leads after %s", next.id, took)
		}
	})
}

func TestAFrozenLeaderDecidesNothing(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		old, _ := s.awaitLeader()
		h := s.startHost(s.host("n1"))
		h.Behave = forever
		old.store.shut.Store(true)
		next, _ := s.awaitLeader()
		next.create(t, "t1")
		s.awaitState("t1", skalds.Running)
		before := next.Leader()
		var stored []string
		s.store.SetWatch(func(_, after *skalds.Task) { stored = append(stored, after.ID) })
		old.store.shut.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if now := next.Leader(); now != before || old.Leader() != next.id {
			t.Errorf("after the thaw %s leads by %s and %s by %s", now, next.id, old.Leader(), old.id)
		}
		if len(stored) > 0 || h.Starts("t1") != 1 {
			t.Errorf("stored after the thaw: %v, %d starts", stored, h.Starts("t1"))
		}
	})
}

func TestEventsGoOnAtAnotherController(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		other := s.other()
		s.startHost(s.host("n1"))
		read := func(o *oneOf, after string) (changes []skalds.Change, last string, reset bool) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			last = after
			err := o.Events().Subscribe(ctx, after, func() {}, func() { reset = true }, func(id string, c skalds.Change) {
				changes, last = append(changes, c), id
			})
			if err != nil {
				t.Error(err)
			}
			return changes, last, reset
		}
		s.await("all know the class", func() bool { w, err := other.Nodes().Workers(t.Context()); return err == nil && len(w) == 1 })
		started := make(chan struct{})
		go func() { <-started; leader.create(t, "t1") }()
		close(started)
		_, last, _ := read(leader, "")
		if last == "" {
			t.Fatal("the leader tells of no change")
		}
		other.create(t, "t2")
		s.awaitState("t2", skalds.Finished)
		changes, _, reset := read(other, last)
		if reset || len(changes) < 3 || changes[0].TaskID != "t2" {
			t.Errorf("after the last event of one controller the other tells %+v (reset: %v)", changes, reset)
		}
		leader.store.shut.Store(true)
		s.awaitLeader()
		if _, _, reset := read(other, last); !reset {
			t.Error("a leader was killed, and may have announced less than it stored: nobody was told to read anew")
		}
	})
}

// A node is declared lost, and before its tasks are taken back the store is away for longer than the leader's lease.
func TestWhatWasNotTakenBackIsInTheNextTerm(t *testing.T) {
	inSeveral(t, 1, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		a := s.startHost(s.host("a"))
		a.Behave = forever
		leader.create(t, "t1")
		s.awaitState("t1", skalds.Running)
		b := s.startHost(s.host("b"))
		b.Behave = forever
		s.store.SetFault(func(op string) error {
			if op == "onNode" {
				return controllertest.ErrDown
			}
			return nil
		})
		a.SetCut(true)
		events := make(chan skalds.Change, 100)
		watching, stop := context.WithCancel(t.Context())
		defer stop()
		go func() {
			_ = leader.Events().Subscribe(watching, "", func() {}, func() {}, func(_ string, c skalds.Change) { events <- c })
		}()
		for c := range events {
			if c.NodeID == "a" && c.Status == skalds.NodeOffline {
				break
			}
		}
		s.store.SetFault(func(string) error { return controllertest.ErrDown })
		time.Sleep(8 * time.Second)
		s.store.SetFault(nil)
		s.await("it runs elsewhere", func() bool { return b.Runs("t1") })
	})
}

// A node gets nothing before the new leader has answered its hello, which that one has to ask for.
func TestANewLeaderHandsOutAtOnce(t *testing.T) {
	inSeveral(t, 2, func(t *testing.T, s *several) {
		leader, _ := s.awaitLeader()
		h := s.startHost(s.host("n1"))
		h.Behave = forever
		other := s.other()
		s.await("all know the class", func() bool { w, err := other.Nodes().Workers(t.Context()); return err == nil && len(w) == 1 })
		s.end(leader)
		s.awaitLeader()
		begun := time.Now()
		other.create(t, "t1")
		s.awaitState("t1", skalds.Running)
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("it runs after %s", took)
		}
	})
}
