package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the connection with the controllers.
const (
	helloPartBytes = 180 << 10 // a bus message may have 256 KiB
	minReconnect   = 200 * time.Millisecond
	maxReconnect   = 5 * time.Second
	minInsist      = 2 * time.Second // a hello without an answer for so long is said again, then after twice as long, …
	maxInsist      = time.Minute
)

// nodeSource is the host's end of the bus: it takes commands in the order that PROTOCOLS rule (generation, epoch, desired
// revision), answers those that it knows already, and says hello whenever the bus may have lost something.
//
// Until that hello is answered it starts and changes no dispatched task: a command that is read then may be a late one, about
// a task that has been handed elsewhere since. The answer names everything that holds, and what a controller has sent
// meanwhile it sends again.
type nodeSource struct {
	nodeID   string
	cfg      Config
	bus      Bus
	journal  *journal
	reporter *reporter
	roster   *roster
	workers  func() []skalds.WorkerInfo
	attached func(answer skalds.HelloAnswer) // a controller has answered
	edge     func(skalds.EdgeAnswer)         // nil: no edge source
	command  func(skalds.Command) bool       // takes commands for edge tasks; false: not one of them
	leaseOK  func() bool                     // dispatched tasks may be started
	stream   func(req skalds.StreamRequest)  // serves it beside
	refuse   func(err error)                 // this host must not work under its id
	log      hclog.Logger

	term int64 // the highest of a leader's that was seen; belongs to the goroutine that reads

	mu        sync.Mutex // guards all below
	partition int32
	ready     bool
	said      int64 // number of the last hello
	saidAt    time.Time
	needed    int64         // number of the first hello whose answer counts
	answered  bool          // it has come
	insist    time.Duration // how long to wait for it
}

// Run reads commands until ctx ends, through every outage of the bus.
func (n *nodeSource) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { n.insistOnAnswer(ctx) })
	defer wg.Wait()
	delay, failing, since := minReconnect, false, time.Now()
	for {
		err := n.bus.Commands(ctx, n.nodeID, func(partition int32) {
			if failing {
				n.log.Info("connected with the bus again")
			}
			delay, failing = minReconnect, false
			n.mu.Lock()
			n.partition, n.ready = partition, true
			n.mu.Unlock()
			n.anew()
		}, n.take)
		if ctx.Err() != nil {
			return nil
		}
		if !failing && !settingUp(err, since) {
			n.log.Warn("cannot read commands: running tasks go on, and the host keeps trying", "err", err)
			failing = true
		}
		n.mu.Lock()
		n.ready = false
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
		delay = min(2*delay, maxReconnect)
	}
}

// position is the partition that the node reads.
func (n *nodeSource) position() int32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.partition
}

// shut takes no dispatched command until a hello that is said from now on has been answered.
func (n *nodeSource) shut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.needed, n.answered, n.insist = n.said+1, false, minInsist
}

// open reports whether dispatched commands are taken.
func (n *nodeSource) open() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.answered
}

// anew begins again with the controllers: what they have said may be outdated, or lost.
func (n *nodeSource) anew() {
	n.shut()
	n.hello()
}

// hello tells the controllers what this host runs, knows and offers; it is said again when any of it must be settled.
func (n *nodeSource) hello() {
	if parts := n.compose(); parts != nil {
		n.reporter.hello(parts)
	}
}

func (n *nodeSource) compose() []skalds.Hello {
	n.mu.Lock()
	if !n.ready {
		n.mu.Unlock()
		return nil
	}
	n.said++
	n.saidAt = time.Now()
	base := skalds.Hello{Mode: n.cfg.mode(), Partition: n.partition, Labels: n.cfg.Labels, Number: n.said}
	n.mu.Unlock()
	base.Hostname, _ = os.Hostname()
	return helloParts(base, n.marks(), n.workers())
}

// insistOnAnswer says hello again as long as nobody answers: a controller that cannot reach the bus drops its answers.
func (n *nodeSource) insistOnAnswer(ctx context.Context) {
	t := time.NewTicker(minInsist / 4)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		n.mu.Lock()
		late := n.ready && !n.answered && time.Since(n.saidAt) >= n.insist
		if late {
			n.insist = min(2*n.insist, maxInsist)
		}
		n.mu.Unlock()
		if late && !n.reporter.helloWaits() {
			for _, p := range n.compose() {
				n.reporter.send(skalds.HostMessage{Hello: &p}) // what goes before and after it has been sent
			}
		}
	}
}

// marks is what is known here of tasks: those that run, those whose end no controller has acknowledged, and those that a
// former incarnation ran.
func (n *nodeSource) marks() []skalds.TaskMark {
	known := map[string]skalds.TaskMark{}
	n.journal.read(func(s *journalState) {
		for id, m := range s.marks {
			if !m.Closed {
				known[id] = skalds.TaskMark{TaskID: id, Epoch: m.Epoch, DesiredRevision: m.DesiredRevision, Mode: skalds.ModePassive}
			}
		}
		for id, f := range s.finals {
			known[id] = skalds.TaskMark{TaskID: id, Epoch: f.Epoch, DesiredRevision: f.DesiredRevision, State: f.State, Mode: skalds.ModePassive}
		}
	})
	for _, t := range n.roster.all() {
		v := t.seen()
		known[t.taskID] = skalds.TaskMark{
			TaskID: t.taskID, Epoch: v.epoch, DesiredRevision: v.revision, Running: true, State: v.status.State, Mode: v.mode,
		}
	}
	out := make([]skalds.TaskMark, 0, len(known))
	for _, m := range known {
		out = append(out, m)
	}
	return out
}

// helloParts splits a hello so that every part fits into a message.
func helloParts(base skalds.Hello, tasks []skalds.TaskMark, workers []skalds.WorkerInfo) []skalds.Hello {
	parts := []skalds.Hello{base}
	room := helloPartBytes
	place := func(v any) *skalds.Hello {
		b, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		if len(b) > room && room < helloPartBytes {
			parts = append(parts, base)
			room = helloPartBytes
		}
		room -= len(b) + 1
		return &parts[len(parts)-1]
	}
	for _, t := range tasks {
		if p := place(t); p != nil {
			p.Tasks = append(p.Tasks, t)
		}
	}
	for _, w := range workers {
		w = fitting(w)
		if p := place(w); p != nil {
			p.Workers = append(p.Workers, w)
		}
	}
	for i := range parts {
		parts[i].Part, parts[i].Parts = i+1, len(parts)
	}
	return parts
}

// fitting is a worker as a message has room for it: without the schemas of its classes where they are too large. A part that
// cannot be sent would leave the hello without an answer for ever; the host checks attachments all the same.
func fitting(w skalds.WorkerInfo) skalds.WorkerInfo {
	if b, err := json.Marshal(&w); err == nil && len(b) <= helloPartBytes {
		return w
	}
	w.Classes = slices.Clone(w.Classes)
	for i := range w.Classes {
		w.Classes[i].Schema = nil
	}
	return w
}

// take handles one message of a controller. It runs on the goroutine that reads the bus and does not block.
func (n *nodeSource) take(m skalds.NodeMessage) {
	if m.Stream == nil { // that is no decision
		if m.Term < n.term {
			n.log.Debug("a message of a leader that was replaced is dropped", "term", m.Term, "present", n.term)
			return
		}
		n.term = m.Term
	}
	switch {
	case m.Command != nil:
		n.order(*m.Command)
	case m.Answer != nil:
		n.answer(*m.Answer)
	case len(m.Acks) > 0:
		n.journal.acked(m.Acks)
	case m.Edge != nil:
		if n.edge != nil {
			n.edge(*m.Edge)
		}
	case m.AskHello:
		if !n.reporter.helloWaits() { // else the one that has not gone out yet says it
			n.hello()
		}
	case m.Stream != nil:
		n.stream(*m.Stream)
	}
}

// answer takes the full desired set.
func (n *nodeSource) answer(a skalds.HelloAnswer) {
	if a.Incarnation != n.journal.incarnation() {
		return // to a former self
	}
	if a.Refused != "" {
		n.refuse(fmt.Errorf("the controller refuses this host: %s", a.Refused))
		return
	}
	n.mu.Lock()
	outdated := a.Number < n.needed
	n.answered = n.answered || !outdated
	n.mu.Unlock()
	if outdated {
		return // to a hello before the last connection: what it names may have been handed elsewhere
	}
	n.journal.raiseGeneration(a.Generation)
	n.attached(a)
	for _, c := range a.Commands {
		n.order(c)
	}
}

// order puts a command in force if it is newer than what is known of its task, and answers it if it is the same.
func (n *nodeSource) order(c skalds.Command) {
	known, ok := n.journal.mark(c.TaskID)
	last := skalds.Command{Generation: known.Generation, Epoch: known.Epoch, DesiredRevision: known.DesiredRevision}
	if ok && !c.Newer(&last) {
		if !last.Newer(&c) {
			n.repeat(c, known)
		}
		return
	}
	if c.Desired != skalds.DesiredGone && c.Spec == nil {
		n.log.Error("a command lacks the task that it is about: ignored", "task_id", c.TaskID)
		return
	}
	if n.command != nil && n.command(c) {
		n.note(c, false)
		return
	}
	if c.Desired != skalds.DesiredGone && !n.open() {
		n.log.Debug("a command is not taken before the hello is answered", "task_id", c.TaskID, "epoch", c.Epoch)
		return
	}
	if c.Desired != skalds.DesiredGone && c.Spec.OnDisconnect != skalds.OnDisconnectKeep && !n.leaseOK() {
		n.log.Warn("a task is not started while the lease of this node is lost: the controller will send it again", "task_id", c.TaskID)
		return
	}
	begun := ok && known.Epoch == c.Epoch // whatever the generation of the store
	if begun && c.Desired != skalds.DesiredGone && (known.Closed || known.Incarnation != n.journal.incarnation()) && !n.roster.active(c.TaskID) {
		// A wish that has crossed the word of its end, or the hello of a new incarnation. An epoch is not begun twice: its
		// attempts would be numbered twice, and it may have been handed elsewhere.
		n.note(c, true)
		n.repeat(c, known)
		return
	}
	n.note(c, false)
	n.reporter.state(skalds.Report{TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Ack: skalds.AckReceived})
	if !n.roster.assign(c, fromController) {
		n.note(c, true)
		n.reporter.state(skalds.Report{TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Ack: skalds.AckApplied})
	}
}

// note remembers the highest command of a task.
func (n *nodeSource) note(c skalds.Command, closed bool) {
	n.journal.add(record{Mark: &mark{
		TaskID: c.TaskID, Generation: c.Generation, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Desired: c.Desired,
		Incarnation: n.journal.incarnation(), Closed: closed, At: time.Now().UnixMilli(),
	}})
}

// repeat answers a command that was received before: its answer may have been lost.
func (n *nodeSource) repeat(c skalds.Command, known mark) {
	rep := skalds.Report{TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Ack: skalds.AckReceived}
	var final *skalds.Report
	n.journal.read(func(s *journalState) {
		if f, ok := s.finals[c.TaskID]; ok && f.Epoch == c.Epoch {
			final = &f
		}
	})
	t := n.roster.runner(c.TaskID)
	switch {
	case t != nil:
		if v := t.seen(); v.applied && v.epoch == c.Epoch && v.revision == c.DesiredRevision {
			rep.Ack, rep.State = skalds.AckApplied, v.status.State
			rep.Attempt = v.status.Attempt
		}
	case final != nil:
		rep = *final
	case c.Desired == skalds.DesiredGone:
		rep.Ack = skalds.AckApplied
	case known.Incarnation != n.journal.incarnation():
		rep.Ack, rep.Reason = skalds.AckRefused, "the host has been restarted since, and does not run the task any more"
	default:
		rep.Ack, rep.Reason = skalds.AckRefused, "the task has left this host"
	}
	n.reporter.state(rep)
}

// setUpTime is how long after a start nothing is said of a bus that is slow: the topics of a new one are made, and given leaders.
const setUpTime = 15 * time.Second

// settingUp reports whether an error is none yet: the bus may be new, and this host has just started.
func settingUp(err error, since time.Time) bool {
	return (errors.Is(err, skalds.ErrBusNew) || errors.Is(err, context.DeadlineExceeded)) && time.Since(since) < setUpTime
}
