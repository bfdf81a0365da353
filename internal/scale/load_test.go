//go:build linux

package scale

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// clients is how many create tasks at once.
const clients = 64

// dispatched is what became of some tasks: from the request that creates one until its node has begun it.
type dispatched struct {
	took     []time.Duration // sorted
	answered []time.Duration // of it: until the request was answered; sorted
	span     time.Duration   // from the first request until the last has begun
}

// quantile is that of q hundredths, in milliseconds.
func quantile(sorted []time.Duration, q int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*q/100)].Seconds() * 1000
}

// load creates tasks.
type load struct {
	t testing.TB
	c *control
	f *fleet
	n int
}

// id names the next task.
func (l *load) id(class string) string {
	l.n++
	return fmt.Sprintf("%s-%06d", class, l.n)
}

func (l *load) create(ctx context.Context, id, class string) (answered, took time.Duration, err error) {
	begun := time.Now()
	_, err = l.c.CreateTask(ctx, api.CreateTask{
		ID: id, ClassName: class, Resources: skalds.Resources{CPUCores: 0.2, MemoryBytes: 200 << 20},
	}, "")
	if err != nil {
		return 0, 0, fmt.Errorf("create %s: %w", id, err)
	}
	answered = time.Since(begun)
	at, err := l.f.began(ctx, id)
	return answered, at.Sub(begun), err
}

// fill creates lasting tasks by so many clients, each of which creates the next one when the last one has begun.
func (l *load) fill(tasks int) dispatched {
	l.t.Helper()
	ids := make(chan string, tasks)
	for range tasks {
		ids <- l.id(lasting)
	}
	close(ids)
	return l.all(func(one func(id, class string)) {
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for id := range ids {
					one(id, lasting)
				}
			})
		}
		wg.Wait()
	})
}

// pour creates brief tasks at a steady rate, no matter how long they take to begin.
func (l *load) pour(perSecond int, length time.Duration) dispatched {
	l.t.Helper()
	return l.all(func(one func(id, class string)) {
		var wg sync.WaitGroup
		defer wg.Wait()
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for range int(length.Seconds() * float64(perSecond)) {
			<-tick.C
			id := l.id(brief)
			wg.Go(func() { one(id, brief) })
		}
	})
}

// all gathers what becomes of the tasks that run creates.
func (l *load) all(run func(one func(id, class string))) dispatched {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var mu sync.Mutex
	var d dispatched
	var failed []error
	begun := time.Now()
	run(func(id, class string) {
		answered, took, err := l.create(ctx, id, class)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = append(failed, err)
			return
		}
		d.took, d.answered = append(d.took, took), append(d.answered, answered)
	})
	d.span = time.Since(begun)
	if len(failed) > 0 {
		l.t.Errorf("%d tasks failed, the first: %v", len(failed), failed[0])
	}
	slices.Sort(d.took)
	slices.Sort(d.answered)
	return d
}
