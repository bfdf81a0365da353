package controller

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the event stream.
const (
	keptEvents      = 4096 // for readers that come back
	eventsPerReader = 1024 // that a reader may be behind
)

// Events is the stream of changes: one reader of the bus, shared by everybody who watches.
type Events struct {
	bus    Bus
	hear   func(skalds.Change) // every change, before those who watch get it
	missed func()              // some may be missing
	log    hclog.Logger

	mu      sync.Mutex // guards all below
	kept    []event    // the latest, oldest first
	readers map[*eventReader]struct{}
}

type event struct {
	id     string
	change skalds.Change
	reset  bool
}

type eventReader struct {
	queue chan event
	lost  bool // it was too slow; guarded by Events.mu
}

func newEvents(bus Bus, hear func(skalds.Change), missed func(), log hclog.Logger) *Events {
	return &Events{bus: bus, hear: hear, missed: missed, log: log, readers: map[*eventReader]struct{}{}}
}

// Run reads the bus until ctx ends.
func (e *Events) Run(ctx context.Context) error {
	last, failing := "", false
	for ctx.Err() == nil {
		err := e.bus.Changes(ctx, last, func() { e.missed(); e.reset() }, func(id string, c skalds.Change) {
			if failing {
				failing = false
				e.log.Info("changes can be read again")
			}
			last = id
			e.hear(c)
			switch c.Type {
			case skalds.ChangeLeader:
				if c.Status == skalds.LeaderTaken {
					e.reset() // the one before may have stored changes that it did not announce any more
				}
			case skalds.ChangeMissed:
				e.missed()
				e.reset()
			default:
				e.spread(event{id: id, change: c})
			}
		})
		if ctx.Err() != nil {
			break
		}
		if !failing {
			failing = true
			e.log.Warn("cannot read changes: pages are not updated until this works again", "err", err)
		}
		rest(ctx, time.Second)
	}
	return nil
}

// reset tells all readers that something may have been missed.
func (e *Events) reset() {
	e.mu.Lock()
	e.kept = nil
	e.mu.Unlock()
	e.spread(event{reset: true})
}

func (e *Events) spread(ev event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ev.reset {
		if len(e.kept) >= keptEvents {
			e.kept = append([]event(nil), e.kept[keptEvents/4:]...)
		}
		e.kept = append(e.kept, ev)
	}
	for r := range e.readers {
		if r.lost {
			continue
		}
		select {
		case r.queue <- ev:
		default:
			r.lost = true
		}
	}
}

// Subscribe calls fn for every change after the id ("" = from now on) until ctx ends; reset is called where the id is
// unknown, or where changes were missed: read everything anew then. begun is called first, from when on no change is missed.
// All are called on this goroutine.
func (e *Events) Subscribe(ctx context.Context, after string, begun, reset func(), fn func(id string, c skalds.Change)) error {
	r := &eventReader{queue: make(chan event, eventsPerReader)}
	e.mu.Lock()
	missed, known := e.since(after)
	e.readers[r] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.readers, r)
		e.mu.Unlock()
	}()
	begun()
	if !known {
		reset()
	}
	for _, ev := range missed {
		fn(ev.id, ev.change)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-r.queue:
			if ev.reset {
				reset()
			} else {
				fn(ev.id, ev.change)
			}
		}
		if len(r.queue) == 0 && e.wasLost(r) {
			reset()
		}
	}
}

// wasLost reports, once, that a reader has missed events.
func (e *Events) wasLost(r *eventReader) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	lost := r.lost && len(r.queue) == 0
	if lost {
		r.lost = false
	}
	return lost
}

// since lists the events after an id. The mutex is held.
func (e *Events) since(after string) (list []event, known bool) {
	if after == "" {
		return nil, true
	}
	for i := len(e.kept) - 1; i >= 0; i-- {
		if e.kept[i].id == after {
			return append(list, e.kept[i+1:]...), true
		}
	}
	return nil, false
}
