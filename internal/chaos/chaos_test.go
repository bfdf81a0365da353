//go:build linux

package chaos

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/history"
)

// A process may outlive the end of its task while its host is cut off, which no harm does for longer than a lease and some seconds.
const lingerBeyondLease = 30 * time.Second

const lastingTasks = 20

// TestChaos harms a cluster at random for CHAOS_DURATION (default 20s) while tasks run, lets it come to rest, and checks its history,
// which is kept in the folder CHAOS_DIR where that is set. SKALDS_SEED repeats the harms; what they meet differs from run to run.
func TestChaos(t *testing.T) {
	duration := durationFrom(t, "CHAOS_DURATION", 20*time.Second)
	seed := seedFrom(t)
	t.Logf("SKALDS_SEED=%d", seed)
	storm(t, chosen(t, folder(t), 3, 5*time.Second), duration, seed)
}

// chosen is a cluster with services as CHAOS_SERVICES says: embedded ones (one controller, which keeps tasks in a file), real ones
// (CHAOS_CONTROLLERS controllers, 2 by default), or those of a standalone.
func chosen(t testing.TB, dir string, hosts int, lease time.Duration) *cluster {
	t.Helper()
	services := filepath.Join(dir, "services")
	switch text := os.Getenv("CHAOS_SERVICES"); text {
	case "", "embedded":
		return distributed(t, dir, embeddedServices(t, services), 1, hosts, lease)
	case "real":
		controllers, err := strconv.Atoi(cmp.Or(os.Getenv("CHAOS_CONTROLLERS"), "2"))
		if err != nil {
			t.Fatalf("CHAOS_CONTROLLERS: %v", err)
		}
		names := []string{"kafka", "redis", "mongo"}
		if controllers == 1 {
			names = names[:2]
		}
		return distributed(t, dir, realServices(t, services, names...), controllers, hosts, lease)
	case "standalone":
		return standalone(t, dir, hosts, lease)
	default:
		t.Fatalf("CHAOS_SERVICES is embedded, real or standalone, not %q", text)
	}
	return nil
}

// storm is the whole run on a cluster that is up.
func storm(t *testing.T, c *cluster, duration time.Duration, seed uint64) {
	l := &load{c: c, users: 6, pause: 400 * time.Millisecond, most: 200}
	lasting := l.lasting(lastingTasks)
	monkeys := []*monkey{
		{c: c, rng: rand.New(rand.NewPCG(seed, 1<<33)), harms: harmsToProcesses(), pause: 3 * time.Second},
		{c: c, rng: rand.New(rand.NewPCG(seed, 1<<34)), harms: harmsToWays(), pause: 5 * time.Second},
	}
	if harms := harmsToServices(c.services); len(harms) > 0 {
		monkeys = append(monkeys, &monkey{c: c, rng: rand.New(rand.NewPCG(seed, 1<<35)), harms: harms, pause: 15 * time.Second})
	}
	watching, unwatch := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	for _, cl := range c.clients {
		watchers.Go(func() { c.listen(watching, cl, func(history.Event) {}) })
	}
	watchers.Go(func() { newCensus(c).run(watching) })
	ctx, cancel := context.WithTimeout(t.Context(), duration+patience)
	begun := time.Now()
	var harm, use sync.WaitGroup
	for _, m := range monkeys {
		harm.Go(func() { m.run(ctx, duration, duration >= enoughForAll) })
	}
	use.Go(func() { l.run(ctx, seed) })
	harm.Wait()
	cancel()
	use.Wait()
	t.Logf("harm was done for %v", time.Since(begun).Round(time.Second))

	took := c.settle(l, lasting)
	unwatch()
	watchers.Wait()
	c.conclude(l)
	for _, m := range monkeys {
		for _, h := range m.harms {
			t.Logf("%4d × %s", m.done[h.name], h.name)
			if m.done[h.name] == 0 && duration >= enoughForAll {
				t.Errorf("nothing was done to %s in %v", h.name, duration)
			}
		}
	}
	t.Logf("%d tasks accepted, %d of them to last, %d known; answers to creates: %v, slowest 201 after %v; at rest after %v", l.accepted,
		len(lasting), len(l.ids), l.answers, l.slowest.Round(time.Millisecond), took.Round(time.Millisecond))
	c.judge()
}

// enoughForAll is how long a run has to be for each harm to be done. On a machine that is too busy for that it takes longer.
const enoughForAll = 3 * time.Minute

// settle takes all harm away and waits until every task has ended, those that last by a cancel. It returns how long that took but for
// what lasts.
func (c *cluster) settle(l *load, lasting []string) time.Duration {
	c.t.Helper()
	begun := time.Now()
	c.note("the harm is over")
	c.heal()
	c.online()
	fewest := math.MaxInt
	c.moving("all short tasks end", func(ctx context.Context) (done, moved bool) {
		n, ok := c.unended(ctx)
		moved = ok && n < fewest
		if moved {
			fewest = n
		}
		return ok && n <= len(lasting), moved
	})
	took := time.Since(begun)
	for _, id := range lasting {
		c.until(id+" is cancelled", func(ctx context.Context) bool { return c.ask(ctx, id, history.Cancel, c.clients[0].Cancel) })
	}
	c.until("all tasks have ended", func(ctx context.Context) bool {
		n, ok := c.unended(ctx)
		return ok && n == 0
	})
	s := newCensus(c)
	for end := time.Now().Add(lingerBeyondLease); s.record() > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	return took
}

// unended counts the tasks that have not ended, and releases those that were taken for the death of their nodes.
func (c *cluster) unended(ctx context.Context) (n int, ok bool) {
	list, err := c.clients[0].Tasks(ctx, client.ListTasks{PageSize: 500, States: []skalds.State{skalds.Created, skalds.Assigning, skalds.Running, skalds.Paused}})
	if err != nil {
		return 0, false
	}
	for _, task := range list.Items {
		if task.Quarantined != "" {
			c.ask(ctx, task.ID, history.Retry, c.clients[0].Retry)
		}
	}
	return list.Total, true
}

// ask records that a user asks for something, and asks.
func (c *cluster) ask(ctx context.Context, id, verb string, do func(context.Context, string) (api.TaskResponse, error)) bool {
	_ = c.rec.Add(history.Event{Kind: history.Asked, Task: id, Verb: verb})
	_, err := do(ctx, id)
	return err == nil
}

// conclude reads what the controllers know of every task in the end.
func (c *cluster) conclude(l *load) {
	c.t.Helper()
	_ = c.rec.Add(history.Event{Kind: history.Settled})
	newCensus(c).record()
	for i, id := range l.ids {
		cl := c.clients[i%len(c.clients)]
		c.until(id+" is read", func(ctx context.Context) bool {
			r, err := cl.Task(ctx, id)
			if errors.Is(err, skalds.ErrNotFound) {
				return c.rec.Add(history.Event{Kind: history.Missing, Task: id}) == nil
			}
			if err != nil {
				return false
			}
			e := history.Event{Kind: history.Stored, Task: id, Revision: r.Revision, State: r.LifecycleStatus, Epoch: r.Epoch, Run: r.Run + 1, EndedAt: r.EndedAt}
			if r.Executor != nil {
				e.Node = *r.Executor
			}
			_ = c.rec.Add(e)
			list, err := cl.Attempts(ctx, id)
			if err != nil {
				return false
			}
			for _, a := range list {
				e := history.Event{Kind: history.Recorded, Task: id, Epoch: a.Epoch, Attempt: a.Attempt, Node: a.Node, PID: a.PID}
				if a.Exit != nil {
					e.Exit = a.Exit.Kind
				}
				_ = c.rec.Add(e)
			}
			return true
		})
	}
}

// violations holds the history, of which it returns how much of what there is, against what is promised.
func (c *cluster) violations() ([]history.Violation, []history.Count, map[history.Kind]int) {
	c.t.Helper()
	events, err := history.ReadFile(filepath.Join(c.dir, "history.jsonl"))
	if err != nil {
		c.t.Fatal(err)
	}
	kinds := map[history.Kind]int{}
	for _, e := range events {
		kinds[e.Kind]++
	}
	list, counts := history.Check(events, history.Bounds{Linger: c.lease + lingerBeyondLease})
	return list, counts, kinds
}

// judge fails the test where a promise was broken, or where there was nothing that could have broken it.
func (c *cluster) judge() {
	c.t.Helper()
	list, counts, kinds := c.violations()
	c.t.Logf("history: %v", kinds)
	for _, n := range counts {
		c.t.Logf("%6d checked, %d broken: %s", n.Checked, n.Broken, n.Rule)
		if n.Checked == 0 {
			c.t.Errorf("nothing was seen for which it could be that %s", n.Rule)
		}
	}
	for _, v := range list {
		c.t.Errorf("%s\n\t%v", v, v.Events)
	}
	for _, text := range c.strange {
		c.t.Error(text)
	}
	if c.t.Failed() {
		c.t.Logf("look into %s\n%s", c.dir, c.logs(5))
	}
}

func durationFrom(t testing.TB, key string, otherwise time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(key)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return d
}

func seedFrom(t testing.TB) uint64 {
	t.Helper()
	text := cmp.Or(os.Getenv("SKALDS_SEED"), strconv.FormatInt(time.Now().UnixNano(), 10))
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("SKALDS_SEED: %v", err)
	}
	return n
}

// folder is where a run keeps everything. It goes with a test that passes, unless CHAOS_DIR names it.
func folder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("CHAOS_DIR"); dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if dir, err := filepath.Abs(dir); err != nil || dir == "" {
			t.Fatal(err)
		} else {
			return dir
		}
	}
	dir, err := os.MkdirTemp("/tmp", "chaos-run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	return dir
}
