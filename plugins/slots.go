package plugins

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// slotHeld is how long a launch keeps its slot at most. One that takes longer waits for its process rather than for a
// processor, and shall not keep others from starting.
const slotHeld = time.Second

// slots bounds how many launches are under way, because a process that starts is busy for a moment. One slot is out of the
// reach of each plugin: whose processes hang in their start delays nobody else's.
type slots struct {
	all  *semaphore.Weighted
	each int64 // of one plugin

	mu       sync.Mutex // guards byPlugin
	byPlugin map[string]*pluginSlots
}

// pluginSlots are the slots of one plugin while somebody holds one or waits for one.
type pluginSlots struct {
	slots *semaphore.Weighted
	users int
}

func newSlots(n int) *slots {
	return &slots{all: semaphore.NewWeighted(int64(n)), each: int64(max(n-1, 1)), byPlugin: map[string]*pluginSlots{}}
}

// acquire waits for a slot. It is given back by release or after slotHeld, whatever comes first.
func (s *slots) acquire(ctx context.Context, plugin string) (release func(), err error) {
	own := s.join(plugin)
	if err := own.slots.Acquire(ctx, 1); err != nil {
		s.leave(plugin, own)
		return nil, err
	}
	if err := s.all.Acquire(ctx, 1); err != nil {
		own.slots.Release(1)
		s.leave(plugin, own)
		return nil, err
	}
	give := sync.OnceFunc(func() {
		s.all.Release(1)
		own.slots.Release(1)
		s.leave(plugin, own)
	})
	t := time.AfterFunc(slotHeld, give)
	return func() { t.Stop(); give() }, nil
}

func (s *slots) join(plugin string) *pluginSlots {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.byPlugin[plugin]
	if own == nil {
		own = &pluginSlots{slots: semaphore.NewWeighted(s.each)}
		s.byPlugin[plugin] = own
	}
	own.users++
	return own
}

func (s *slots) leave(plugin string, own *pluginSlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(s.byPlugin, plugin)
	}
}
