package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// slowBus takes its time for every call, and gives what was announced to whoever reads.
type slowBus struct {
	Bus
	takes time.Duration

	mu      sync.Mutex // guards all below
	down    bool
	changes []skalds.Change
}

func (b *slowBus) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

func (b *slowBus) announced() []skalds.Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.changes)
}

func (b *slowBus) PublishChange(_ context.Context, changes ...skalds.Change) error {
	time.Sleep(b.takes)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errors.New("the bus is away")
	}
	b.changes = append(b.changes, changes...)
	return nil
}

func (b *slowBus) Changes(ctx context.Context, _ string, _ func(), fn func(string, skalds.Change)) error {
	for at := 0; ctx.Err() == nil; rest(ctx, 50*time.Millisecond) {
		b.mu.Lock()
		news := b.changes[at:]
		b.mu.Unlock()
		for _, c := range news {
			at++
			fn(fmt.Sprint(at), c)
		}
	}
	return nil
}

// inPublishing has a publisher run in fake time.
func inPublishing(t *testing.T, b *slowBus, test func(t *testing.T, p *publisher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher("c", func() int64 { return 1 }, b, hclog.NewNullLogger())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		test(t, p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func publishMany(p *publisher, n int) {
	for i := range n {
		p.publish(skalds.Change{Type: skalds.ChangeTask, TaskID: fmt.Sprint("t", i), Revision: 1, At: 1})
	}
}

// TestAnnouncementsKeepUpWithASlowBus: a bus whose brokers are far away takes 200 ms for each call, and changes come much faster.
func TestAnnouncementsKeepUpWithASlowBus(t *testing.T) {
	b := &slowBus{takes: 200 * time.Millisecond}
	inPublishing(t, b, func(t *testing.T, p *publisher) {
		const many = 1000
		publishMany(p, many)
		time.Sleep(2 * time.Second)
		got := b.announced()
		if len(got) != many {
			t.Fatalf("after 2 s %d of %d changes are announced", len(got), many)
		}
		for i, c := range got {
			if c.TaskID != fmt.Sprint("t", i) {
				t.Fatalf("as number %d task %s is announced", i, c.TaskID)
			}
		}
	})
}

// TestReadersHearOfDroppedChanges: the bus was away for longer than changes are kept for.
func TestReadersHearOfDroppedChanges(t *testing.T) {
	b := &slowBus{takes: 10 * time.Millisecond}
	inPublishing(t, b, func(t *testing.T, p *publisher) {
		var missed, reset, seen, early, others int
		e := newEvents(b, func(skalds.Change) {}, func() { missed++ }, hclog.NewNullLogger())
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = e.Run(ctx) })
		running.Go(func() {
			_ = e.Subscribe(ctx, "", func() {}, func() { reset++ }, func(_ string, c skalds.Change) {
				if seen++; reset == 0 {
					early++
				}
				if c.Type != skalds.ChangeTask {
					others++
				}
			})
		})
		synctest.Wait()
		b.setDown(true)
		const many = maxUnpublished + 4*publishBatch // some are under way already
		publishMany(p, many)
		time.Sleep(10 * time.Second)
		if missed+reset+seen != 0 {
			t.Fatal("something was announced while the bus was away: this proves nothing")
		}
		b.setDown(false)
		time.Sleep(5 * time.Second)
		cancel()
		running.Wait()
		got := b.announced()
		if n := len(got); n < maxUnpublished || got[n-1].TaskID != fmt.Sprint("t", many-1) {
			t.Errorf("%d changes are announced", n)
		}
		if missed == 0 || reset == 0 || seen == 0 || early > 0 || others > 0 {
			t.Errorf("some were missed: said %d times, read anew %d times; of %d changes %d came before that, %d are none", missed, reset, seen, early, others)
		}
	})
}
