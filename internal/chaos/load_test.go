//go:build linux

package chaos

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

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/history"
)

// load is users who create tasks at any controller, ask again where no answer comes, and cancel some. It remembers all tasks that may
// be there.
type load struct {
	c     *cluster
	users int
	pause time.Duration // of a user between two tasks, on average
	most  int           // tasks that have not ended: users wait while there are as many

	mu       sync.Mutex // guards the rest
	ids      []string   // that were accepted or may have been
	accepted int
	answers  map[string]int // how often a create was answered how
	slowest  time.Duration  // answer to a create
}

// askTimeout is how long a user waits for an answer.
const askTimeout = 10 * time.Second

// object is the attachments of a task.
type object map[string]any

func (l *load) task(id string, what object) api.CreateTask {
	what["history"] = filepath.Join(l.c.dir, "history.jsonl")
	b, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	return api.CreateTask{
		ID: id, ClassName: "Chaos", Attachments: b,
		Retry: skalds.Retry{MaxAttempts: skalds.Unlimited, InitialDelay: skalds.Duration(100 * time.Millisecond), MaxDelay: skalds.Duration(time.Second)},
	}
}

// run lets the users work until ctx ends.
func (l *load) run(ctx context.Context, seed uint64) {
	var wg sync.WaitGroup
	var unended atomic.Int64
	wg.Go(func() {
		for ctx.Err() == nil {
			if n, ok := l.c.unended(ctx); ok {
				unended.Store(int64(n))
			}
			wait(ctx, time.Second)
		}
	})
	for n := range l.users {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				for unended.Load() >= int64(l.most) && ctx.Err() == nil {
					wait(ctx, 100*time.Millisecond)
				}
				l.one(ctx, rng, fmt.Sprintf("u%d-%d", n, i))
				wait(ctx, time.Duration(rng.Int64N(int64(2*l.pause)+1)))
			}
		})
	}
	wg.Wait()
}

// one is the life of one task, as far as its user cares.
func (l *load) one(ctx context.Context, rng *rand.Rand, id string) {
	switch n := rng.IntN(100); {
	case n < 70:
		l.create(ctx, rng, l.task(id, object{"do": "work", "millis": rng.IntN(300)}), skalds.Finished)
	case n < 85:
		l.create(ctx, rng, l.task(id, object{"do": "stumble", "millis": rng.IntN(200)}), skalds.Finished)
	default:
		if l.create(ctx, rng, l.task(id, object{"do": "work", "millis": 2000 + rng.IntN(3000)}), "") {
			wait(ctx, time.Duration(rng.IntN(1500))*time.Millisecond)
			l.cancel(ctx, rng, id)
		}
	}
}

// create asks for a task until it is accepted, at most five times, each time at any controller and with the same key.
func (l *load) create(ctx context.Context, rng *rand.Rand, task api.CreateTask, ends skalds.State) bool {
	asked := false
	for try := 0; try < 5 && (try == 0 || ctx.Err() == nil); try++ {
		begun := time.Now()
		err := l.ask(rng, func(ctx context.Context, cl *client.Client) error {
			_, err := cl.CreateTask(ctx, task, "key of "+task.ID)
			return err
		})
		l.answered(err, time.Since(begun))
		if err == nil {
			l.remember(task.ID, asked, true)
			_ = l.c.rec.Add(history.Event{Kind: history.Accepted, Task: task.ID, State: ends})
			return true
		}
		if !errors.Is(err, skalds.ErrUnavailable) {
			l.c.t.Errorf("create %s: %v", task.ID, err)
			_ = l.c.rec.Add(history.Event{Kind: history.Refused, Task: task.ID, Text: err.Error()})
			return false
		}
		_ = l.c.rec.Add(history.Event{Kind: history.Unsure, Task: task.ID, Text: err.Error()})
		if !asked {
			asked = true
			l.remember(task.ID, false, false)
		}
		wait(ctx, time.Duration(rng.IntN(1000))*time.Millisecond)
	}
	return false
}

// lasting creates tasks that last until they are cancelled.
func (l *load) lasting(n int) (ids []string) {
	l.c.t.Helper()
	for i := range n {
		id := fmt.Sprintf("last-%d", i)
		if !l.create(l.c.t.Context(), rand.New(rand.NewPCG(1, 1)), l.task(id, object{"do": "last"}), skalds.Cancelled) {
			l.c.t.Fatalf("%s is not accepted", id)
		}
		ids = append(ids, id)
	}
	return ids
}

func (l *load) cancel(ctx context.Context, rng *rand.Rand, id string) {
	for try := 0; try < 5 && (try == 0 || ctx.Err() == nil); try++ {
		_ = l.c.rec.Add(history.Event{Kind: history.Asked, Task: id, Verb: history.Cancel})
		err := l.ask(rng, func(ctx context.Context, cl *client.Client) error { _, err := cl.Cancel(ctx, id); return err })
		if err == nil || errors.Is(err, skalds.ErrConflict) { // or it has ended before
			return
		}
		if !errors.Is(err, skalds.ErrUnavailable) {
			l.c.t.Errorf("cancel %s: %v", id, err)
			return
		}
		wait(ctx, time.Duration(rng.IntN(1000))*time.Millisecond)
	}
}

// ask asks any controller.
func (l *load) ask(rng *rand.Rand, call func(context.Context, *client.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	return call(ctx, l.c.clients[rng.IntN(len(l.c.clients))])
}

func (l *load) remember(id string, known, accepted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !known {
		l.ids = append(l.ids, id)
	}
	if accepted {
		l.accepted++
	}
}

func (l *load) answered(err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := "201"
	if err != nil {
		text = string(skalds.CodeOf(err))
	} else {
		l.slowest = max(l.slowest, took)
	}
	if l.answers == nil {
		l.answers = map[string]int{}
	}
	l.answers[text]++
}
