package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the publisher.
const (
	maxUnpublished = 50_000
	publishTimeout = 5 * time.Second
)

// publisher announces applied changes without making anybody wait. Of several changes of one task that have not gone out
// yet, the last is enough: readers fetch the document.
type publisher struct {
	id   string       // of this controller
	term func() int64 // in which it leads; 0: another does
	bus  Bus
	log  hclog.Logger
	wake chan struct{}

	mu      sync.Mutex // guards order and pending
	order   []string
	pending map[string]skalds.Change

	failing bool // belongs to Run
}

func newPublisher(id string, term func() int64, bus Bus, log hclog.Logger) *publisher {
	return &publisher{id: id, term: term, bus: bus, log: log, wake: make(chan struct{}, 1), pending: map[string]skalds.Change{}}
}

func (p *publisher) publish(c skalds.Change) {
	c.By, c.Term = p.id, p.term()
	key := changeKey(c)
	p.mu.Lock()
	if old, waits := p.pending[key]; !waits {
		if len(p.order) >= maxUnpublished {
			delete(p.pending, p.order[0])
			p.order = p.order[1:]
		}
		p.order = append(p.order, key)
	} else if old.Revision > c.Revision {
		c = old // two writers of one task told in the wrong order
	}
	p.pending[key] = c
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *publisher) next() (skalds.Change, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) == 0 {
		return skalds.Change{}, false
	}
	key := p.order[0]
	p.order = p.order[1:]
	c := p.pending[key]
	delete(p.pending, key)
	return c, true
}

// Run publishes until ctx ends.
func (p *publisher) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		for ctx.Err() == nil {
			c, ok := p.next()
			if !ok {
				break
			}
			send, cancel := context.WithTimeout(ctx, publishTimeout)
			err := p.bus.PublishChange(send, c)
			cancel()
			var unsendable *skalds.UnsendableError
			if errors.As(err, &unsendable) { // again it would be the same, and hold up all others
				p.log.Error("a change cannot be announced and is dropped", "task_id", c.TaskID, "err", err)
				err = nil
			}
			if err == nil {
				if p.failing {
					p.failing = false
					p.log.Info("changes are announced again")
				}
				continue
			}
			if ctx.Err() != nil {
				return nil
			}
			if !p.failing {
				p.failing = true
				p.log.Warn("cannot announce changes: pages are not updated until this works again", "err", err)
			}
			p.putBack(c)
			rest(ctx, time.Second)
		}
	}
}

// putBack keeps a change that did not go out, unless a newer one has come.
func (p *publisher) putBack(c skalds.Change) {
	key := changeKey(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, newer := p.pending[key]; !newer {
		p.order = append([]string{key}, p.order...)
		p.pending[key] = c
	}
}

func changeKey(c skalds.Change) string {
	switch c.Type {
	case skalds.ChangeNode:
		return "node " + c.NodeID
	case skalds.ChangeLeader:
		return "leader"
	}
	return "task " + c.TaskID
}
