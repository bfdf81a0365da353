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
	publishBatch   = 256 // announced by one call: the bus may take long for each
	publishTimeout = 5 * time.Second
)

// publisher announces applied changes without making anybody wait. Of several changes of one task that have not gone out
// yet, the last is enough: readers fetch the document. Of more than it keeps it drops the oldest, and tells readers to read anew.
type publisher struct {
	id   string       // of this controller
	term func() int64 // in which it leads; 0: another does
	bus  Bus
	log  hclog.Logger
	wake chan struct{}

	mu      sync.Mutex // guards all below but failing
	order   []string
	pending map[string]skalds.Change
	dropped bool // changes, and nobody has been told so yet

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
			p.dropped = true
		}
		p.order = append(p.order, key)
	} else if old.Revision > c.Revision {
		c = old // two writers of one task told in the wrong order
	}
	p.pending[key] = c
	p.mu.Unlock()
	poke(p.wake)
}

// next takes what is to be announced by one call, oldest first; empty: nothing is.
func (p *publisher) next() []skalds.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []skalds.Change
	if p.dropped && len(p.order) > 0 {
		p.dropped = false
		out = append(out, skalds.Change{Type: skalds.ChangeMissed, By: p.id, Term: p.term(), At: p.pending[p.order[0]].At})
	}
	n := min(len(p.order), publishBatch-len(out))
	for _, key := range p.order[:n] {
		out = append(out, p.pending[key])
		delete(p.pending, key)
	}
	p.order = p.order[n:]
	return out
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
			changes := p.next()
			if len(changes) == 0 {
				break
			}
			if p.announce(ctx, changes) || ctx.Err() != nil {
				continue
			}
			p.putBack(changes)
			rest(ctx, time.Second)
		}
	}
}

// announce reports whether changes have gone out, or never can: again it would be the same, and hold up all others.
func (p *publisher) announce(ctx context.Context, changes []skalds.Change) bool {
	send, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := p.bus.PublishChange(send, changes...)
	var unsendable *skalds.UnsendableError
	if errors.As(err, &unsendable) {
		for _, m := range unsendable.Messages {
			p.log.Error("a change cannot be announced and is dropped", "task_id", changes[m.Index].TaskID, "err", m.Err)
		}
		err = nil
	}
	switch {
	case err == nil && p.failing:
		p.failing = false
		p.log.Info("changes are announced again")
	case err != nil && !p.failing && ctx.Err() == nil:
		p.failing = true
		p.log.Warn("cannot announce changes: pages are not updated until this works again", "err", err)
	}
	return err == nil
}

// putBack keeps changes that did not go out, unless newer ones have come.
func (p *publisher) putBack(changes []skalds.Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var again []string
	for _, c := range changes {
		key := changeKey(c)
		if c.Type == skalds.ChangeMissed {
			p.dropped = true
		} else if _, newer := p.pending[key]; !newer {
			again = append(again, key)
			p.pending[key] = c
		}
	}
	p.order = append(again, p.order...)
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
