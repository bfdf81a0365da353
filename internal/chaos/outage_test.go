//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/faultproxy"
	"github.com/skalds-go/skalds/internal/history"
)

// Bounds of an outage. What is promised is a fifth of the first three: the machine may do ten other things.
const (
	convergeWithin = 5 * 10 * time.Second
	answerWithin   = 5 * 5 * time.Second
	namedWithin    = 5 * 3 * time.Second
	oneTrip        = 100 * time.Millisecond // a slow way: a question and its answer take twice that
	cutAfter       = 1500                   // bytes
)

// outages are how a service can be away. Where it is gone, all that depends on it waits, and /readyz must say so; where it is slow or
// its answers are cut off, some come through.
var outages = []struct {
	name  string
	fault faultproxy.Fault
	gone  bool
	does  func(*outage) (back func() error, err error) // to the service itself; nil: nothing
}{
	{name: "refused", fault: faultproxy.Fault{Refuse: true}, gone: true},
	{name: "stalled", fault: faultproxy.Fault{Stall: true}, gone: true, does: (*outage).stop},
	{name: "slow", fault: faultproxy.Fault{Delay: oneTrip}},
	{name: "cut", fault: faultproxy.Fault{CutAfter: cutAfter}},
	{name: "emptied", fault: faultproxy.Fault{Refuse: true}, gone: true, does: (*outage).empty},
}

// TestOutages takes each service away in each way for OUTAGE_DURATION (default 3s), while tasks run, users ask for things, and
// OUTAGE_BACKLOG changes (default 100) pile up. It prints a table of what was measured.
func TestOutages(t *testing.T) {
	duration := durationFrom(t, "OUTAGE_DURATION", 3*time.Second)
	backlog := 100
	if text := os.Getenv("OUTAGE_BACKLOG"); text != "" {
		var err error
		if backlog, err = strconv.Atoi(text); err != nil {
			t.Fatalf("OUTAGE_BACKLOG: %v", err)
		}
	}
	c := chosen(t, folder(t), 3, 6*time.Second)
	if len(c.services) == 0 {
		t.Fatal("the services of a standalone cannot be taken away: set CHAOS_SERVICES to embedded or real")
	}
	l := &load{c: c}
	lasting := l.lasting(5)
	watching, unwatch := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	ears := make([]*ear, len(c.clients))
	for i, cl := range c.clients {
		ears[i] = &ear{revisions: map[string]int64{}}
		watchers.Go(func() { c.listen(watching, cl, ears[i].heard) })
	}
	watchers.Go(func() { newCensus(c).run(watching) })
	for _, id := range lasting {
		c.until(id+" runs", func(ctx context.Context) bool {
			r, err := c.clients[0].Task(ctx, id)
			return err == nil && r.LifecycleStatus == skalds.Running
		})
	}
	before := c.began(lasting)
	table := []string{
		"| service | how | creates accepted, refused | slowest answer | /readyz names it after | all is done after | longest pause of what ran | tasks that did their work meanwhile | processes begun again | nodes lost |",
		"|---|---|---|---|---|---|---|---|---|---|",
	}
	for _, s := range c.services {
		for _, o := range outages {
			if s.name == "mongo" && o.name == "emptied" {
				continue // what was accepted is there and nowhere else
			}
			t.Run(s.name+" "+o.name, func(t *testing.T) {
				x := &outage{t: t, c: c, l: l, s: s, name: s.name + "-" + o.name, gone: o.gone, backlog: backlog, ears: ears}
				x.run(duration, o.fault, o.does)
				after := c.began(lasting)
				again := after - before
				before = after
				if again != 0 {
					x.tooLong("%d of the processes that ran have begun again", again)
				}
				pause, ended := x.ran(lasting)
				table = append(table, fmt.Sprintf("| %s | %s | %d, %d | %v | %s | %v | %v | %d of %d | %d | %d |", s.name, o.name, x.accepted, x.refused,
					x.slowest.Round(time.Millisecond), x.named(), x.converged.Round(10*time.Millisecond), pause.Round(10*time.Millisecond), ended, stagedTasks,
					again, x.lost))
			})
		}
	}
	c.settle(l, lasting)
	unwatch()
	watchers.Wait()
	c.conclude(l)
	c.judge()
	t.Logf("each for %v, %d changes\n%s", duration, backlog, strings.Join(table, "\n"))
}

// began counts how often processes of tasks have begun.
func (c *cluster) began(ids []string) (n int) {
	c.t.Helper()
	events, err := history.ReadFile(filepath.Join(c.dir, "history.jsonl"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range events {
		for _, id := range ids {
			if e.Kind == history.Began && e.Task == id {
				n++
			}
		}
	}
	return n
}

// ear is what one controller has told of tasks.
type ear struct {
	mu        sync.Mutex // guards the rest
	revisions map[string]int64
	gap       time.Time // when it was told the last time that something is missing
}

func (e *ear) heard(ev history.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ev.Task == "" {
		e.gap = time.Now()
	}
	e.revisions[ev.Task] = max(e.revisions[ev.Task], ev.Revision)
}

// has reports whether a client has heard of a revision, or has been told since a time that it has to read everything again.
func (e *ear) has(task string, revision int64, since time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.revisions[task] >= revision || e.gap.After(since)
}

// outage is one time that a service is away.
type outage struct {
	t       *testing.T
	c       *cluster
	l       *load
	s       *service
	name    string
	gone    bool // nothing comes through
	backlog int
	ears    []*ear
	begun   time.Time
	over    time.Time

	mu        sync.Mutex // guards the rest
	accepted  int
	refused   int
	slowest   time.Duration
	namedAt   time.Duration // 0: never
	lost      int
	converged time.Duration
	changed   map[string]int64 // task → revision, of users' changes
	unsure    []string         // tasks that end by a cancel only, where they are there
	tasks     []string         // that end by themselves
}

// stagedTasks are how many tasks finish stages while the service is away.
const stagedTasks = 10

func (x *outage) run(duration time.Duration, fault faultproxy.Fault, does func(*outage) (back func() error, err error)) {
	x.changed = map[string]int64{}
	trigger := filepath.Join(x.c.dir, x.name+".begin")
	for i := range stagedTasks {
		id := fmt.Sprintf("%s-staged-%d", x.name, i)
		task := x.l.task(id, object{"do": "stages", "wait": trigger, "stages": x.backlog / 2 / stagedTasks})
		if !x.l.create(x.t.Context(), rand.New(rand.NewPCG(1, 1)), task, skalds.Finished) {
			x.t.Fatalf("%s is not accepted", id)
		}
		x.tasks = append(x.tasks, id)
	}
	for _, id := range x.tasks {
		x.c.until(id+" runs", func(ctx context.Context) bool {
			r, err := x.c.clients[0].Task(ctx, id)
			return err == nil && r.LifecycleStatus == skalds.Running && r.Phase == skalds.PhaseNone
		})
	}

	x.c.note("%s begins", x.name)
	set := func(f faultproxy.Fault) {
		for name, p := range x.c.ways {
			if serviceOf(name) == x.s.name {
				if err := p.Set(f); err != nil {
					x.t.Fatal(err)
				}
			}
		}
	}
	x.begun = time.Now()
	ctx, cancel := context.WithCancel(x.t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i := range x.c.clients {
		wg.Go(func() { x.askReady(ctx, i) })
		wg.Go(func() { x.askNodes(ctx, i) })
		wg.Go(func() { x.create(ctx, i) })
		wg.Go(func() { x.change(ctx, i) })
	}
	if err := os.WriteFile(trigger, nil, 0o600); err != nil {
		x.t.Error(err)
	}
	back := func() error { return nil }
	set(fault)
	if does != nil {
		var err error
		if back, err = does(x); err != nil {
			x.t.Fatal(err)
		}
	}
	wait(x.t.Context(), time.Until(x.begun.Add(duration)))
	cancel()
	if err := back(); err != nil {
		x.t.Error(err)
	}
	set(faultproxy.Fault{})
	x.over = time.Now()
	x.c.note("%s is over", x.name)
	wg.Wait()
	x.judge()
	x.converge()
}

// stop freezes a service that is a process; of one that is none the way alone stalls.
func (x *outage) stop() (back func() error, err error) {
	if x.s.pid == nil {
		return func() error { return nil }, nil
	}
	pid := x.s.pid()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("stop %s: %w", x.s.name, err)
	}
	return func() error { return syscall.Kill(pid, syscall.SIGCONT) }, nil
}

// empty starts it again without data, behind a way that is shut: it listens before it is there.
func (x *outage) empty() (back func() error, err error) {
	return func() error { return nil }, x.s.wipe()
}

// judge holds what was answered meanwhile against what is promised.
func (x *outage) judge() {
	x.mu.Lock()
	defer x.mu.Unlock()
	store := x.part() == "store"
	if !store && x.accepted == 0 {
		x.t.Error("no task was accepted, though tasks are kept elsewhere")
	}
	if store && x.gone && x.refused == 0 {
		x.t.Error("no create was refused: the store was not away")
	}
	if x.gone && x.namedAt == 0 || x.namedAt > namedWithin {
		x.tooLong("/readyz has named it after %v of %v (0: never)", x.namedAt, x.over.Sub(x.begun))
	}
}

// ran looks at what the processes said while the service was away: for how long the most silent of those that last said nothing, and how
// many of those that had work to do have done it.
func (x *outage) ran(lasting []string) (pause time.Duration, ended int) {
	x.c.t.Helper()
	events, err := history.ReadFile(filepath.Join(x.c.dir, "history.jsonl"))
	if err != nil {
		x.t.Fatal(err)
	}
	begun, over := x.begun.UnixNano(), x.over.UnixNano()
	beats := map[string][]int64{}
	for _, e := range events {
		switch {
		case e.At < begun || e.At > over:
		case e.Kind == history.Beat:
			beats[e.Task] = append(beats[e.Task], e.At)
		case e.Kind == history.Finished && strings.HasPrefix(e.Task, x.name+"-staged-"):
			ended++
		}
	}
	for _, id := range lasting {
		last := begun
		for _, at := range append(beats[id], over) { // of one process, and so in order
			pause, last = max(pause, time.Duration(at-last)), at
		}
	}
	if pause > x.c.lease {
		x.tooLong("what ran stood still for %v", pause)
	}
	if away := x.over.Sub(x.begun); ended == 0 && away >= 10*time.Second {
		x.tooLong("no task has done its work in %v", away)
	}
	return pause, ended
}

// swamped is how many processes for each core may wait to run, on average over a minute. Where more do, programs stand still for longer
// than a lease, which is no fault of theirs.
const swamped = 8

// tooLong fails the test for what took longer than is promised, or did not survive that, unless the machine itself could not do it.
func (x *outage) tooLong(format string, args ...any) {
	x.t.Helper()
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	if load, err := strconv.ParseFloat(first, 64); err == nil && load > float64(swamped*runtime.NumCPU()) {
		x.t.Logf("not judged, since %s processes share %d cores: %s", first, runtime.NumCPU(), fmt.Sprintf(format, args...))
		return
	}
	x.t.Errorf(format, args...)
}

// create asks for tasks as long as the service is away, each of which must be answered soon and honestly.
func (x *outage) create(ctx context.Context, at int) {
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("%s-new-%d-%d", x.name, at, i)
		if x.post(at, x.l.task(id, object{"do": "work"}), skalds.Finished) {
			x.mu.Lock()
			x.tasks = append(x.tasks, id)
			x.mu.Unlock()
		}
		wait(ctx, 300*time.Millisecond)
	}
}

// change creates tasks that no node may run, and cancels them, until there are enough changes.
func (x *outage) change(ctx context.Context, at int) {
	for i := 0; ctx.Err() == nil && i*len(x.c.clients) < x.backlog/4; i++ {
		id := fmt.Sprintf("%s-nowhere-%d-%d", x.name, at, i)
		task := x.l.task(id, object{"do": "work"})
		task.Constraints = []string{"no-node-has-this"}
		if !x.post(at, task, skalds.Cancelled) {
			x.mu.Lock()
			x.unsure = append(x.unsure, id)
			x.mu.Unlock()
			continue
		}
		x.mu.Lock()
		x.changed[id] = 0
		x.mu.Unlock()
		_ = x.c.rec.Add(history.Event{Kind: history.Asked, Task: id, Verb: history.Cancel})
		r, err := x.c.clients[at].Cancel(ctx, id)
		if err == nil {
			x.mu.Lock()
			x.changed[id] = r.Revision
			x.mu.Unlock()
		}
	}
}

// post creates a task as any program does. Afterwards it is there, or was refused with the advice to come back.
func (x *outage) post(at int, task api.CreateTask, ends skalds.State) (accepted bool) {
	begun := time.Now()
	a, err := post(x.c.clients[at].Server()+"/api/tasks/", task)
	took := time.Since(begun)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.slowest = max(x.slowest, took)
	switch {
	case took > answerWithin:
		x.tooLong("a create was answered after %v", took)
	case err != nil:
		x.t.Errorf("a create was not answered: %v", err)
	}
	x.l.remember(task.ID, false, err == nil && a.status == 201)
	switch {
	case err == nil && a.status == 201:
		x.accepted++
		_ = x.c.rec.Add(history.Event{Kind: history.Accepted, Task: task.ID, State: ends})
		return true
	case err == nil && a.status == 503 && a.retryAfter != "":
		x.refused++
	case err == nil:
		x.t.Errorf("a create was answered %d, Retry-After %q: %s", a.status, a.retryAfter, a.body)
	}
	_ = x.c.rec.Add(history.Event{Kind: history.Unsure, Task: task.ID})
	return false
}

// part is what /readyz calls the service.
func (x *outage) part() string {
	return map[string]string{"kafka": "bus", "redis": "redis", "mongo": "store"}[x.s.name]
}

// askReady notes when a controller says first that the service is away.
func (x *outage) askReady(ctx context.Context, at int) {
	for ctx.Err() == nil {
		probe, err := ready(x.c.clients[at].Server())
		if err != nil && ctx.Err() == nil {
			x.t.Error(err)
		}
		if text := probe.Services[x.part()]; err == nil && probe.Status != "ok" && text != "" && text != "healthy" {
			x.mu.Lock()
			if x.namedAt == 0 {
				x.namedAt = time.Since(x.begun)
				x.c.note("%s is named: %s", x.part(), text)
			}
			x.mu.Unlock()
		}
		wait(ctx, 100*time.Millisecond)
	}
}

func (x *outage) named() string {
	if x.namedAt == 0 {
		return "–"
	}
	return x.namedAt.Round(10 * time.Millisecond).String()
}

// askNodes looks for nodes that are taken for lost.
func (x *outage) askNodes(ctx context.Context, at int) {
	lost := map[string]bool{}
	for ctx.Err() == nil {
		nodes, err := x.c.clients[at].Nodes(ctx, "", "")
		for _, n := range nodes.Items {
			if err == nil && n.Status != "online" && !lost[n.ID] {
				lost[n.ID] = true
				x.mu.Lock()
				x.lost++
				x.mu.Unlock()
				x.tooLong("node %s is %s", n.ID, n.Status)
			}
		}
		wait(ctx, 200*time.Millisecond)
	}
}

// converge waits until everything that was asked for is done and told.
func (x *outage) converge() {
	x.c.t.Helper()
	for at, cl := range x.c.clients {
		x.c.until("all services answer", func(context.Context) bool {
			probe, err := ready(cl.Server())
			return err == nil && probe.Status == "ok"
		})
		x.c.until("all nodes are online", func(ctx context.Context) bool {
			nodes, err := cl.Nodes(ctx, "", "online")
			return err == nil && len(nodes.Items) == len(x.c.hosts)
		})
		for id, revision := range x.changed {
			if revision == 0 { // the cancel was not answered
				x.c.until(id+" is cancelled", func(ctx context.Context) bool { return x.c.ask(ctx, id, history.Cancel, cl.Cancel) })
			}
			x.c.until(id+" was told", func(context.Context) bool { return x.ears[at].has(id, revision, x.begun) })
		}
	}
	for _, id := range x.unsure {
		x.c.until(id+" is cancelled or was never there", func(ctx context.Context) bool {
			_ = x.c.rec.Add(history.Event{Kind: history.Asked, Task: id, Verb: history.Cancel})
			_, err := x.c.clients[0].Cancel(ctx, id)
			return err == nil || errors.Is(err, skalds.ErrNotFound)
		})
	}
	for _, id := range x.tasks {
		x.c.until(id+" has finished", func(ctx context.Context) bool {
			r, err := x.c.clients[0].Task(ctx, id)
			return err == nil && r.LifecycleStatus == skalds.Finished
		})
	}
	x.converged = time.Since(x.over)
	if x.converged > convergeWithin {
		x.tooLong("all was done only %v after the service was back", x.converged)
	}
}
