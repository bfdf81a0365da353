package sdk

import (
	"context"
	"errors"
	"sync"
)

// errNoTask is the answer to a hook before or after the task.
var errNoTask = errors.New("no task is running here")

// mailbox carries calls to the task's goroutine, which takes them at its safe points.
type mailbox struct {
	calls chan *call
	done  chan struct{} // closed when the task's goroutine takes no more
	once  sync.Once
}

// call is one request; claimed decides between its being run and its caller's giving up.
type call struct {
	fn  func() error
	mu  sync.Mutex // guards ran and bye
	ran bool
	bye bool
	res chan error
}

func newMailbox() *mailbox { return &mailbox{calls: make(chan *call, 16), done: make(chan struct{})} }

func (m *mailbox) closed() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

func (m *mailbox) close() { m.once.Do(func() { close(m.done) }) }

// do has fn run by the task's goroutine and waits for its result. A call whose ctx ends before it was taken is never run.
func (m *mailbox) do(ctx context.Context, fn func() error) error {
	c := &call{fn: fn, res: make(chan error, 1)}
	select {
	case m.calls <- c:
	case <-m.done:
		return errNoTask
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.res:
		return err
	case <-m.done:
		if c.abandon() {
			return errNoTask
		}
		return <-c.res
	case <-ctx.Done():
		if c.abandon() {
			return errors.New("the worker reached no safe point in time: call Task.Yield or Task.Sleep in Main, or use ConcurrentHooks")
		}
		return <-c.res
	}
}

// abandon reports whether the call was withdrawn before it was taken.
func (c *call) abandon() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ran {
		return false
	}
	c.bye = true
	return true
}

func (c *call) run() {
	c.mu.Lock()
	if c.bye {
		c.mu.Unlock()
		return
	}
	c.ran = true
	c.mu.Unlock()
	c.res <- c.fn()
}

// drain runs what is waiting, without blocking.
func (m *mailbox) drain() {
	for {
		select {
		case c := <-m.calls:
			c.run()
		default:
			return
		}
	}
}
