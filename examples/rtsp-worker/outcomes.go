package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"

	"github.com/skalds-go/skalds/examples/rtsp-worker/recording"
)

// observer passes on what happens to the files.
type observer struct {
	problems *problems
	outcomes *outcomes
}

func (o observer) Segment(s recording.Segment) { o.outcomes.put(s) }

func (o observer) Problem(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	o.problems.set(problemDisk, text)
}

// outcomes reports recordings to the host on a goroutine of its own, so that nobody who receives video waits for a host. What is not
// yet reported is kept once per file, the newest word counts.
type outcomes struct {
	report func(context.Context, protocol.Artifact) error
	log    hclog.Logger
	wake   chan struct{} // holds one token when there is something to do

	// mu guards what follows.
	mu     sync.Mutex
	order  []string
	latest map[string]recording.Segment
	closed bool
}

func newOutcomes(report func(context.Context, protocol.Artifact) error, log hclog.Logger) *outcomes {
	return &outcomes{report: report, log: log, wake: make(chan struct{}, 1), latest: map[string]recording.Segment{}}
}

func (o *outcomes) put(s recording.Segment) {
	o.mu.Lock()
	if _, ok := o.latest[s.Path]; !ok {
		o.order = append(o.order, s.Path)
	}
	o.latest[s.Path] = s
	o.mu.Unlock()
	o.kick()
}

func (o *outcomes) kick() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// close makes run report what is left, within 2 s, and return.
func (o *outcomes) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.kick()
}

func (o *outcomes) next() (s recording.Segment, ok, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) == 0 {
		return s, false, o.closed
	}
	path := o.order[0]
	s = o.latest[path]
	o.order = o.order[1:]
	delete(o.latest, path)
	return s, true, o.closed
}

// run reports until close; a host that does not answer is asked again a second later.
func (o *outcomes) run(ctx context.Context) {
	var deadline time.Time
	for {
		s, ok, closed := o.next()
		if closed && deadline.IsZero() {
			deadline = time.Now().Add(2 * time.Second)
		}
		if !ok && closed {
			return
		}
		if !ok {
			<-o.wake
			continue
		}
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := o.report(call, artifact(s))
		cancel()
		switch {
		case err == nil:
		case errors.Is(err, protocol.ErrFenced), errors.Is(err, protocol.ErrRefused), errors.Is(err, protocol.ErrUnsupported):
			o.log.Warn("recording not reported", "path", s.Path, "err", err)
		case closed && time.Now().After(deadline):
			o.log.Warn("recordings not reported: the host does not answer", "path", s.Path, "err", err)
			return
		default:
			o.again(s)
			t := time.NewTimer(time.Second)
			select {
			case <-o.wake:
			case <-t.C:
			}
			t.Stop()
		}
	}
}

// again puts back what could not be reported, unless there is newer word.
func (o *outcomes) again(s recording.Segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, newer := o.latest[s.Path]; !newer {
		o.order = append([]string{s.Path}, o.order...)
		o.latest[s.Path] = s
	}
}

func artifact(s recording.Segment) protocol.Artifact {
	facts := map[string]any{
		"codec": s.Codec, "width": s.Width, "height": s.Height, "parts": s.Parts, "frames": s.Frames, "epoch": s.Epoch,
	}
	if s.Sound {
		facts["sound"] = "aac"
	}
	meta, _ := json.Marshal(facts) // cannot fail
	return protocol.Artifact{
		Kind: "recording", Path: s.Path, StartedAt: s.StartedAt, EndedAt: s.EndedAt, Bytes: s.Bytes, Duration: s.Duration,
		EndReason: s.EndReason, Meta: meta,
	}
}
