package sdk

import (
	"slices"
	"sync"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// progressInterval is the shortest time between two progress events; in between they are merged.
const progressInterval = 100 * time.Millisecond

// outbox holds events until the stream takes them: the worker never waits for the host, and progress is merged, so a
// worker that counts a million units a second costs ten messages.
type outbox struct {
	mu       sync.Mutex // guards queue and progress
	queue    []protocol.RunEvent
	progress []protocol.Progress // the last of each unit: one unit must not hide that another goes on

	wake chan struct{} // holds one token when there may be something to send
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// maxBacklog bounds the queue of a host that does not read: beyond it, runs of equal kinds keep their last event only.
const maxBacklog = 1024

// maxUnits bounds the units whose progress waits at the same time.
const maxUnits = 16

// put adds an event. Progress seen before it is sent before it.
func (o *outbox) put(e protocol.RunEvent) {
	o.mu.Lock()
	if e.Kind == protocol.EventProgress {
		o.progress = append(slices.DeleteFunc(o.progress, func(p protocol.Progress) bool { return p.Unit == e.Progress.Unit }), e.Progress)
		if len(o.progress) > maxUnits {
			o.progress = slices.Delete(o.progress, 0, 1)
		}
	} else {
		o.flushProgressLocked()
		if n := len(o.queue); n >= maxBacklog && o.queue[n-1].Kind == e.Kind && e.Kind != protocol.EventStageFinished {
			o.queue[n-1] = e
		} else {
			o.queue = append(o.queue, e)
		}
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) flushProgressLocked() {
	for _, p := range o.progress {
		o.queue = append(o.queue, protocol.RunEvent{Kind: protocol.EventProgress, Progress: p})
	}
	o.progress = o.progress[:0]
}

// take removes what is due. withProgress also takes merged progress.
func (o *outbox) take(withProgress bool) (events []protocol.RunEvent, progressLeft bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if withProgress {
		o.flushProgressLocked()
	}
	events, o.queue = o.queue, nil
	return events, len(o.progress) > 0
}

// pump emits events in order until the finished one has been emitted.
func (o *outbox) pump(emit func(protocol.RunEvent)) {
	var last time.Time
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Until(last.Add(progressInterval))
		events, left := o.take(wait <= 0)
		for _, e := range events {
			if e.Kind == protocol.EventProgress {
				last = time.Now()
			}
			emit(e)
			if e.Kind == protocol.EventFinished {
				return
			}
		}
		if left && wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Reset(time.Hour)
		}
		select {
		case <-o.wake:
		case <-timer.C:
		}
	}
}
