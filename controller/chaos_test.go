package controller_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// TestChaos plays hosts that are killed, stopped, cut off and restarted, commands and reports that are lost and repeated,
// services that are away and controllers that are restarted, while users do what they like; all of it in simulated time. A
// seed settles what happens and when, but not in which order goroutines run that are ready at once.
//
// SKALDS_TEST_SEEDS says how many seeds are played, SKALDS_TEST_SEED plays one.
func TestChaos(t *testing.T) {
	if raceDetector {
		t.Skip("as many timers in fake time crash the race detector now and then (golang/go#78156): run make simulate")
	}
	first, seeds := uint64(0), uint64(30)
	if testing.Short() {
		seeds = 8
	}
	number := func(name string, into *uint64) bool {
		text := os.Getenv(name)
		if text == "" {
			return false
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		*into = n
		return true
	}
	number("SKALDS_TEST_SEEDS", &seeds)
	if number("SKALDS_TEST_SEED", &first) {
		seeds = 1
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) { newChaos(t, w, seed).play() })
		})
	}
}

// chaos is one play.
type chaos struct {
	t     *testing.T
	w     *world
	hosts []*controllertest.Host
	up    []bool
	iced  []bool // up, and frozen
	tasks int

	diceMu sync.Mutex // guards rng, which hosts and the bus use too
	rng    *rand.Rand

	mu     sync.Mutex // guards all below
	trail  map[string][]string
	broken []string
	faulty map[string]bool           // tasks whose trail is of interest
	finals map[string]int            // by task and run
	alive  map[string]map[string]int // processes, by task and host
	dead   map[goneProcess]bool      // processes that a watcher knows to be dead

	watchers sync.WaitGroup // over hosts that are gone, which still have something to tell
}

// goneProcess is a process that died with its host, or was killed because its host was silent.
type goneProcess struct {
	node  string
	task  string
	epoch int64
}

func newChaos(t *testing.T, w *world, seed uint64) *chaos {
	c := &chaos{
		t: t, w: w, rng: rand.New(rand.NewPCG(seed, 17)), trail: map[string][]string{}, faulty: map[string]bool{},
		finals: map[string]int{}, alive: map[string]map[string]int{}, dead: map[goneProcess]bool{},
	}
	w.store.SetWatch(c.stored)
	w.store.SetNodeWatch(c.storedNode)
	w.bus.SetWatch(c.told, c.said)
	for i := range 3 {
		h := w.host(fmt.Sprintf("n%d", i))
		h.Behave = c.behave
		h.Watch = func(id string, epoch int64, runs bool) { c.process(h.ID, id, epoch, runs) }
		c.hosts, c.up, c.iced = append(c.hosts, w.startHost(h)), append(c.up, true), append(c.iced, false)
	}
	return c
}

func (c *chaos) dice(n int) int {
	c.diceMu.Lock()
	defer c.diceMu.Unlock()
	return c.rng.IntN(n)
}

// note adds to a task's trail. The mutex is held.
func (c *chaos) note(id, format string, args ...any) {
	c.trail[id] = append(c.trail[id], time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

// fault is a broken law. The mutex is held.
func (c *chaos) fault(id, format string, args ...any) {
	c.note(id, "^^^ "+format, args...)
	c.faulty[id] = true
	c.broken = append(c.broken, id+": "+fmt.Sprintf(format, args...))
}

func (c *chaos) broke(id, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault(id, format, args...)
}

// stored checks every stored change against what must always hold.
func (c *chaos) stored(before, after *skalds.Task) {
	falsely := ""
	if before != nil && before.LifecycleStatus.OnNode() && after.Epoch > before.Epoch && after.LastExit != nil && after.LastExit.Kind == skalds.ExitNodeLost &&
		(before.LastExit == nil || *before.LastExit != *after.LastExit) {
		falsely = c.falselyLost(before.Executor, time.Now())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if before != nil && c.dead[goneProcess{before.Executor, before.ID, before.Epoch}] {
		falsely = "" // its node may be well, its process is not
	}
	c.note(after.ID, "stored: %s on %q epoch %d attempt %d run %d, desired %s %d/%d %s %s", after.LifecycleStatus, after.Executor, after.Epoch,
		after.Attempt, after.Run, after.Desired, after.AckedRevision, after.DesiredRevision, after.Exception, after.Quarantined)
	if before == nil {
		return
	}
	id, from, to := after.ID, before.LifecycleStatus, after.LifecycleStatus
	if after.Revision != before.Revision+1 {
		c.fault(id, "revision %d after %d", after.Revision, before.Revision)
	}
	if after.Epoch < before.Epoch {
		c.fault(id, "epoch %d after %d", after.Epoch, before.Epoch)
	}
	if after.DesiredRevision < before.DesiredRevision {
		c.fault(id, "desired revision %d after %d", after.DesiredRevision, before.DesiredRevision)
	}
	if after.AckedRevision > after.DesiredRevision {
		c.fault(id, "revision %d acknowledged of %d", after.AckedRevision, after.DesiredRevision)
	}
	if from.Final() && (to != from || after.Epoch != before.Epoch) && after.Run == before.Run {
		c.fault(id, "%s (epoch %d) became %s (epoch %d) without a retry", from, before.Epoch, to, after.Epoch)
	}
	if from.OnNode() && before.Executor != "" && after.Executor == "" && after.Epoch == before.Epoch {
		c.fault(id, "taken from node %s under the same epoch %d", before.Executor, after.Epoch)
	}
	if to == skalds.Assigning && from == skalds.Created && after.Epoch <= before.Epoch {
		c.fault(id, "handed out under the epoch %d", after.Epoch)
	}
	through := from == skalds.Assigning && skalds.Running.CanBecome(to) || after.Epoch > before.Epoch && skalds.Created.CanBecome(to)
	if from != to && !from.CanBecome(to) && !through {
		c.fault(id, "%s became %s", from, to)
	}
	if to.Final() && !from.Final() {
		key := fmt.Sprintf("%s run %d", id, after.Run)
		if c.finals[key]++; c.finals[key] > 1 {
			c.fault(id, "ended twice in run %d", after.Run)
		}
		if after.EndedAt == 0 {
			c.fault(id, "ended without a time")
		}
	}
	if falsely != "" {
		c.fault(id, "taken from a node as lost: %s", falsely)
	}
}

// storedNode looks for nodes that are declared lost wrongly.
func (c *chaos) storedNode(before, after skalds.Node) {
	if after.LostAt == 0 || after.LostAt == before.LostAt {
		return
	}
	if falsely := c.falselyLost(after.ID, time.UnixMilli(after.LostAt)); falsely != "" { // it may be stored much later
		c.broke("node-"+after.ID, "declared lost: %s", falsely)
	}
}

// falselyLost says why a node should not have been held lost at a moment; empty: it may.
func (c *chaos) falselyLost(node string, at time.Time) string {
	for _, h := range c.hosts {
		if h.ID != node {
			continue
		}
		last, unbroken := h.Renewed()
		if at.Sub(last) < c.w.cfg.Lease-time.Second && at.Sub(unbroken) >= c.w.cfg.Lease {
			return fmt.Sprintf("heartbeats of %s have got through for %s, the last one %s ago", node, at.Sub(unbroken), at.Sub(last))
		}
	}
	return ""
}

// process looks for tasks that run twice at once.
func (c *chaos) process(host, id string, epoch int64, runs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !runs {
		c.note(id, "%s: process of epoch %d is gone", host, epoch)
		delete(c.alive[id], host)
		return
	}
	c.note(id, "%s: process of epoch %d begins", host, epoch)
	for other, old := range c.alive[id] {
		c.fault(id, "runs on %s (epoch %d) and on %s (epoch %d)", other, old, host, epoch)
	}
	if c.alive[id] == nil {
		c.alive[id] = map[string]int{}
	}
	c.alive[id][host] = int(epoch)
}

func (c *chaos) told(m skalds.NodeMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	command := func(word string, cmd *skalds.Command) {
		c.note(cmd.TaskID, "%s %s: epoch %d revision %d %s %s", m.NodeID, word, cmd.Epoch, cmd.DesiredRevision, cmd.Desired, cmd.Reason)
	}
	if m.Command != nil {
		command("is told", m.Command)
	}
	if m.Answer != nil {
		for i := range m.Answer.Commands {
			command("is answered", &m.Answer.Commands[i])
		}
	}
	for _, k := range m.Acks {
		c.note(k.TaskID, "%s: %s of epoch %d attempt %d is acknowledged", m.NodeID, k.Kind, k.Epoch, k.Attempt)
	}
}

func (c *chaos) said(m skalds.HostMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	who := fmt.Sprintf("%s/%d", m.NodeID, m.Incarnation)
	switch {
	case m.Report != nil:
		r := m.Report
		c.note(r.TaskID, "%s reports %d: epoch %d revision %d %s %s %s attempt %d", who, r.Seq, r.Epoch, r.DesiredRevision,
			cmp.Or(string(r.Ack), "-"), cmp.Or(string(r.State), "-"), r.GoneFor+r.Reason, r.Attempt)
	case m.Outcome != nil:
		c.note(m.Outcome.TaskID, "%s records %s of epoch %d attempt %d", who, m.Outcome.Kind, m.Outcome.Epoch, m.Outcome.Attempt)
	case m.Gone != nil:
		c.note("*", "%s is said to be gone, silent %v", who, m.Gone.Silent)
		for _, dead := range m.Gone.Tasks {
			c.note(dead.TaskID, "%s is said to be gone, silent %v, and epoch %d to be dead", who, m.Gone.Silent, dead.Epoch)
		}
	case m.Hello != nil:
		c.note("*", "%s says hello", who)
		for _, mark := range m.Hello.Tasks {
			c.note(mark.TaskID, "%s says hello with epoch %d revision %d %s running %v", who, mark.Epoch, mark.DesiredRevision, cmp.Or(string(mark.State), "-"), mark.Running)
		}
	}
}

// watched has the watcher over a host that is gone tell it: some of it late, some twice, in any order, and nothing where the watcher
// has died too. While the bus is away it tries for ten seconds.
func (c *chaos) watched(told []skalds.HostMessage) {
	c.mu.Lock()
	for _, m := range told {
		for _, dead := range m.Gone.Tasks {
			c.dead[goneProcess{m.NodeID, dead.TaskID, dead.Epoch}] = true
		}
	}
	c.mu.Unlock()
	slow := []int{100, 3000, 20_000}[c.dice(3)]
	for _, m := range told {
		times := []int{0, 1, 1, 1, 1, 2}[c.dice(6)]
		for range times {
			wait := time.Duration(c.dice(slow)) * time.Millisecond
			c.watchers.Go(func() {
				time.Sleep(wait)
				for end := time.Now().Add(10 * time.Second); c.w.bus.Report(m) != nil && time.Now().Before(end); {
					time.Sleep(200 * time.Millisecond)
				}
			})
		}
	}
}

// wake thaws a host, where it is frozen.
func (c *chaos) wake(i int) {
	if c.iced[i] {
		c.iced[i] = false
		c.hosts[i].Thaw()
	}
}

// behave is what a process does.
func (c *chaos) behave(skalds.Command, int) controllertest.Plan {
	p := controllertest.Plan{Runs: time.Duration(c.dice(4000)) * time.Millisecond}
	switch c.dice(12) {
	case 0:
		p.Exit = skalds.Exit{Kind: skalds.ExitError, Message: "no luck"}
	case 1:
		p.Exit = skalds.Exit{Kind: skalds.ExitSignal, Message: "killed"}
	case 2:
		p.Refuse = "not today"
	case 3:
		p.Runs = time.Duration(c.dice(30)) * time.Second
	}
	return p
}

func (c *chaos) create() {
	spec := skalds.Spec{ID: fmt.Sprintf("t%d", c.tasks), ClassName: "Demo", Priority: c.dice(11), Retry: skalds.Retry{MaxAttempts: 1 + c.dice(6)}}
	if c.dice(8) == 0 {
		spec.OnDisconnect = skalds.OnDisconnectKeep
	}
	_, _, err := c.w.Tasks().Create(c.t.Context(), controller.CreateRequest{Spec: spec, Who: "chaos"})
	switch {
	case err == nil:
		c.tasks++
	case !errors.Is(err, controllertest.ErrDown) && skalds.CodeOf(err) != skalds.CodeUnavailable:
		c.t.Errorf("create: %v", err)
	}
}

// wish is what a user may do at any moment; whether the state allows it is the controller's business.
func (c *chaos) wish(do func(s *controller.TaskService, id string) error) {
	id := fmt.Sprintf("t%d", c.dice(c.tasks))
	err := do(c.w.Tasks(), id)
	if code := skalds.CodeOf(err); err != nil && code != skalds.CodeConflict && !errors.Is(err, controllertest.ErrDown) {
		c.t.Errorf("a wish for %s failed: %v", id, err)
	}
}

var errAway = errors.New("the service is away")

// incident is one thing that happens.
func (c *chaos) incident() {
	ctx := c.t.Context()
	i := c.dice(len(c.hosts))
	h := c.hosts[i]
	what := c.dice(26)
	c.mu.Lock()
	c.note("*", "incident %d at %s", what, h.ID)
	c.mu.Unlock()
	away := func(set func(error)) {
		if c.dice(3) == 0 {
			set(errAway)
		} else {
			set(nil)
		}
	}
	switch what {
	case 0, 1:
		h.Kill()
		c.up[i], c.iced[i] = false, false
	case 2:
		if c.up[i] && !c.iced[i] {
			h.Stop()
			c.up[i] = false
		}
	case 3, 4, 5:
		if !c.up[i] {
			h.Start()
			c.up[i] = true
		}
	case 6:
		h.SetCut(true)
	case 7, 8:
		h.SetCut(false)
	case 9:
		c.w.bus.SetFate(func(string) controllertest.Fate { return controllertest.Fate(c.dice(3)) })
	case 10:
		c.w.bus.SetFate(nil)
	case 11:
		away(c.w.bus.SetDown)
	case 12:
		away(c.w.bus.SetBeatsDown)
	case 13:
		c.w.store.SetFault(func(string) error {
			if c.dice(4) == 0 {
				return controllertest.ErrDown
			}
			return nil
		})
	case 14:
		c.w.store.SetFault(nil)
		c.w.stop()
		c.w.start()
	case 15:
		c.wish(func(s *controller.TaskService, id string) error { _, err := s.Cancel(ctx, id, "chaos"); return err })
	case 16:
		c.wish(func(s *controller.TaskService, id string) error {
			_, err := s.Pause(ctx, id, "chaos")
			time.Sleep(time.Duration(c.dice(300)) * time.Millisecond)
			_, resumed := s.Resume(ctx, id, "chaos")
			return cmp.Or(err, resumed)
		})
	case 17:
		c.wish(func(s *controller.TaskService, id string) error {
			_, err := s.UpdateAttachments(ctx, controller.AttachmentsUpdate{TaskID: id, Attachments: fmt.Appendf(nil, `{"n":%d}`, c.dice(100)), Who: "chaos"})
			return err
		})
	case 18:
		switch c.dice(4) {
		case 0:
			c.wish(func(s *controller.TaskService, id string) error { _, err := s.Retry(ctx, id, "chaos"); return err })
		case 1:
			_, err := c.w.Nodes().Drain(ctx, h.ID, nil, "chaos")
			if err != nil && !errors.Is(err, controllertest.ErrDown) && skalds.CodeOf(err) != skalds.CodeNotFound {
				c.t.Errorf("drain %s: %v", h.ID, err)
			}
			time.Sleep(time.Duration(c.dice(300)) * time.Millisecond)
			c.undrain(h.ID)
		default:
			c.w.bus.RepeatReport(c.dice)
		}
	case 19:
		c.w.bus.SetLoses(func(skalds.HostMessage) bool { return c.dice(4) == 0 })
	case 20:
		c.w.bus.SetLoses(nil)
	case 21, 22:
		c.watched(h.Crash())
		c.up[i], c.iced[i] = false, false
	case 23:
		if c.up[i] && !c.iced[i] {
			c.iced[i] = true
			c.watched(h.Freeze())
		}
	case 24, 25:
		for i := range c.hosts { // soon, most of the time: words of their silence are still to come
			c.wake(i)
		}
	}
}

func (c *chaos) undrain(node string) {
	for {
		_, err := c.w.Nodes().Undrain(c.t.Context(), node, "chaos")
		if !errors.Is(err, controllertest.ErrDown) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *chaos) play() {
	for range 20 {
		c.create()
	}
	for range 120 {
		time.Sleep(time.Duration(c.dice(400)) * time.Millisecond)
		c.create()
		c.incident()
	}
	c.w.store.SetFault(nil)
	c.w.bus.SetFate(nil)
	c.w.bus.SetLoses(nil)
	c.w.bus.SetDown(nil)
	c.w.bus.SetBeatsDown(nil)
	for i, h := range c.hosts {
		h.SetCut(false)
		c.wake(i)
		if !c.up[i] {
			h.Start()
		}
	}
	c.watchers.Wait()
	c.settle()
	c.judge()
}

// settle lets time pass until every task has ended, and releases what waits for a user's word.
func (c *chaos) settle() {
	for deadline := time.Now().Add(15 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		open := 0
		for _, task := range c.w.store.All() {
			var err error
			switch {
			case task.LifecycleStatus.Final():
				continue
			case task.Quarantined != "":
				_, err = c.w.Tasks().Retry(c.t.Context(), task.ID, "chaos")
			case task.Desired == skalds.DesiredPaused:
				_, err = c.w.Tasks().Resume(c.t.Context(), task.ID, "chaos")
			}
			if err != nil && skalds.CodeOf(err) != skalds.CodeConflict {
				c.t.Errorf("release %s: %v", task.ID, err)
			}
			open++
		}
		if open == 0 {
			return
		}
	}
}

// judge looks at what is left.
func (c *chaos) judge() {
	all := c.w.store.All()
	for _, task := range all {
		if !task.LifecycleStatus.Final() {
			c.broke(task.ID, "never ended: %s on %q epoch %d", task.LifecycleStatus, task.Executor, task.Epoch)
		}
	}
	if len(all) != c.tasks {
		c.t.Errorf("%d of %d accepted tasks are left", len(all), c.tasks)
	}
	open := func() (n int) {
		for _, h := range c.hosts {
			n += h.Open()
		}
		return n
	}
	c.w.await("all records to be acknowledged", func() bool { return open() == 0 })
	attempts := map[skalds.OutcomeKey]skalds.Attempt{}
	completed := map[string]bool{}
	for _, task := range all {
		list, err := c.w.Tasks().Attempts(c.t.Context(), task.ID)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, a := range list {
			attempts[skalds.OutcomeKey{TaskID: a.TaskID, Epoch: a.Epoch, Attempt: a.Attempt, Kind: skalds.OutcomeExit}] = a
			completed[task.ID] = completed[task.ID] || a.Epoch == task.Epoch && a.Exit.Kind == skalds.ExitCompleted
		}
		if task.LifecycleStatus == skalds.Finished && !completed[task.ID] {
			c.broke(task.ID, "has finished in epoch %d, in which nothing was completed", task.Epoch)
		}
	}
	starts := 0
	for _, h := range c.hosts {
		seen := map[skalds.OutcomeKey]bool{}
		for _, o := range h.Recorded() {
			if seen[o.OutcomeKey] {
				c.broke(o.TaskID, "%s has two records of epoch %d attempt %d", h.ID, o.Epoch, o.Attempt)
			}
			seen[o.OutcomeKey] = true
			a, ok := attempts[o.OutcomeKey]
			if !ok || a.Node != o.Exit.Node || a.Exit.Kind != o.Exit.Exit.Kind || a.EndedAt != o.Exit.EndedAt {
				c.broke(o.TaskID, "the record of epoch %d attempt %d on %s (%s) is lost: the store has %+v", o.Epoch, o.Attempt, h.ID, o.Exit.Exit.Kind, a.Exit)
			}
		}
		for _, task := range all {
			starts += h.Starts(task.ID)
			if h.Runs(task.ID) {
				c.broke(task.ID, "is %s and still runs on %s", task.LifecycleStatus, h.ID)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Logf("%d tasks, %d starts, hosts started %d %d %d times", len(all), starts, c.hosts[0].Incarnation(), c.hosts[1].Incarnation(), c.hosts[2].Incarnation())
	for _, b := range c.broken {
		c.t.Error(b)
	}
	shown := 0
	for id := range c.faulty {
		if shown++; shown > 3 {
			break
		}
		lines := slices.Concat(c.trail[id], c.trail["*"])
		slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:len("04:05.000")], b[:len("04:05.000")]) })
		for _, line := range lines {
			c.t.Logf("%s %s", id, line)
		}
	}
}
