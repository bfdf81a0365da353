package controller

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the applier.
const (
	applyBatch    = 512
	applyWriters  = 16
	deskTimeout   = time.Minute // of a hello, which may ask a slow store for hundreds of tasks
	applyTries    = 5           // of one task's reports, before the whole batch waits for the store
	recordsAtOnce = 4           // of one task in one call to the store: at first; twice as many after each that was quick, half after one that failed
	offsetEvery   = time.Second
	reportsStream = "skalds.report"
	// generationStream keeps, in the place of an offset, the generation of the store under which it was saved.
	generationStream = "skalds.report generation"
)

// applier brings what hosts report into the store. It takes what has come while it was busy as one batch: the reports of
// one task are one change, those of different tasks are written side by side, and records are acknowledged after the store
// has them. Hellos and their like wait for everything that their node has said before; those of different nodes are answered side by
// side, and one that a later one of the same node follows already is not answered.
type applier struct {
	store   Store
	bus     Bus
	tasks   *TaskService
	outbox  *outbox
	desk    *desk
	clock   Clock
	log     hclog.Logger
	caught  func() // everything that was on the bus at the start is applied
	inbox   chan delivery
	hellos  *helloQueue // what of them is in the inbox
	restart time.Duration

	given map[[2]string][]string // tasks that were given back, by node and reason, and not told to the log; belongs to Run's goroutine

	mu   sync.Mutex      // guards owed
	owed map[string]bool // tasks of which the word of an end was given up: no record of them is acknowledged until it is applied
}

// delivery is a message and the offset to continue after it.
type delivery struct {
	message skalds.HostMessage
	next    string
	caught  bool // no message: the end that was seen at the start
}

func newApplier(store Store, bus Bus, tasks *TaskService, o *outbox, d *desk, clock Clock, log hclog.Logger) *applier {
	return &applier{
		store: store, bus: bus, tasks: tasks, outbox: o, desk: d, clock: clock, log: log, caught: func() {},
		inbox: make(chan delivery, applyBatch), hellos: newHelloQueue(), restart: time.Second, owed: map[string]bool{}, given: map[[2]string][]string{},
	}
}

// Run reads and applies until ctx ends.
func (a *applier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { a.read(ctx) })
	defer wg.Wait()
	var saved time.Time
	offset, stored := "", ""
	failing, marked := false, false
	save := func(force bool) {
		if offset == stored || !force && time.Since(saved) < offsetEvery {
			return
		}
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		saved = time.Now()
		err := a.store.SaveOffset(c, reportsStream, offset)
		if err == nil && !marked {
			err = a.store.SaveOffset(c, generationStream, generationMark(a.tasks.picture.generation.Load()))
			marked = err == nil
		}
		if err != nil {
			if !failing && !errors.Is(err, errNotLeader) {
				a.log.Warn("cannot store how far reports are applied: some would be applied again after a restart, which changes nothing", "err", err)
			}
			failing = true
			return
		}
		stored = offset
		if failing {
			a.log.Info("how far reports are applied is stored again")
		}
		failing = false
	}
	defer save(true)
	defer a.logGivenBack()
	flush := time.NewTicker(offsetEvery)
	defer flush.Stop()
	for {
		var batch []delivery
		select {
		case <-ctx.Done():
			return nil
		case <-flush.C:
			a.logGivenBack()
			save(false)
			continue
		case d := <-a.inbox:
			batch = append(batch, d)
		}
		for more := true; more && len(batch) < applyBatch; {
			select {
			case d := <-a.inbox:
				batch = append(batch, d)
			default:
				more = false
			}
		}
		begun := a.clock.Now()
		a.tasks.cluster.reportsWait(begun)
		if !a.apply(ctx, batch) {
			return nil
		}
		if len(a.inbox) == 0 || a.clock.Now().Sub(begun) < maxBehind/4 {
			a.tasks.cluster.reportsWait(time.Time{})
		}
		for i := len(batch) - 1; i >= 0; i-- {
			if batch[i].next != "" {
				offset = batch[i].next
				break
			}
		}
		save(false)
	}
}

// read brings the bus's messages to the inbox, through every outage.
func (a *applier) read(ctx context.Context) {
	from, known := "", false
	failing, caught := false, false
	put := func(d delivery) {
		a.hellos.comes(d.message)
		select {
		case a.inbox <- d:
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		var err error
		if !known {
			c, cancel := context.WithTimeout(ctx, storeTimeout)
			from, err = a.begin(c)
			cancel()
			known = err == nil
		}
		if err == nil {
			err = a.bus.Reports(ctx, from, func() {
				if !caught {
					caught = true
					put(delivery{caught: true})
				}
			}, func(_ context.Context, m skalds.HostMessage, next string) {
				failing, from = false, next
				if !caught && a.desk.past.isOld(&m) {
					m = skalds.HostMessage{}
				}
				put(delivery{message: m, next: next})
			})
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			failing = true
			a.log.Warn("cannot read what hosts report: they keep it", "err", err)
		}
		rest(ctx, a.restart)
	}
}

// begin reads from where on messages are new to the store. Where that was set back, or has never heard of any, what is read up to the
// end is of a time that it does not know.
func (a *applier) begin(ctx context.Context) (from string, err error) {
	if from, err = a.store.Offset(ctx, reportsStream); err != nil {
		return "", err
	}
	under, err := a.store.Offset(ctx, generationStream)
	if err != nil {
		return "", err
	}
	if now := generationMark(a.tasks.picture.generation.Load()); from == "" || under != "" && under != now {
		a.desk.past.begins()
		a.log.Info("the store was set back, or is new: hosts are asked what they run", "generation", now)
	}
	return from, nil
}

func generationMark(generation int64) string { return strconv.FormatInt(generation, 10) }

// taskWork is everything in a batch that is about one task, in order.
type taskWork struct {
	taskID string
	items  []skalds.HostMessage
	kept   int    // how many of the records among them the store has
	most   int    // records that it is given at once
	node   string // that has given the task back
	back   string // why its node has given the task back; empty: it has not
	over   bool   // by the store the task has ended, or is not there: no word of an end can change it
}

// round is what may be done side by side: first the reports of tasks, then at most one of the other messages of each node.
type round struct {
	order  []*taskWork
	byTask map[string]*taskWork
	desk   []skalds.HostMessage
}

// rounds puts messages in order: what one node says stays so; what several say does not matter to each other.
func (a *applier) rounds(batch []delivery) []*round {
	var all []*round
	at := map[string]int{} // by node
	for _, d := range batch {
		m := d.message
		for len(all) <= at[m.NodeID] {
			all = append(all, &round{byTask: map[string]*taskWork{}})
		}
		r := all[at[m.NodeID]]
		id := ""
		switch {
		case m.Report != nil:
			id = m.Report.TaskID
			a.tasks.unanswered.answered(m.Report)
		case m.Outcome != nil:
			id = m.Outcome.TaskID
		}
		if id == "" {
			r.desk = append(r.desk, m)
			at[m.NodeID]++
			continue
		}
		w := r.byTask[id]
		if w == nil {
			w = &taskWork{taskID: id, most: recordsAtOnce}
			r.byTask[id] = w
			r.order = append(r.order, w)
		}
		w.items = append(w.items, m)
	}
	return all
}

// apply brings a batch into the store; it is false when ctx has ended before that.
func (a *applier) apply(ctx context.Context, batch []delivery) bool {
	for len(batch) > 0 {
		n := slices.IndexFunc(batch, func(d delivery) bool { return d.caught })
		before := batch
		if n >= 0 {
			before = batch[:n]
		}
		for _, r := range a.rounds(before) {
			if !a.applyTasks(ctx, r.order) || !a.applyOthers(ctx, r.desk) {
				return false
			}
		}
		if n < 0 {
			break
		}
		a.caught()
		batch = batch[n+1:]
	}
	return true
}

// applyOthers brings the desk messages of different nodes, side by side.
func (a *applier) applyOthers(ctx context.Context, list []skalds.HostMessage) bool {
	return allOf(list, func(m skalds.HostMessage) bool {
		if m.Hello != nil && a.hellos.isReplaced(m) {
			return true
		}
		done := a.until(ctx, "a message of node "+m.NodeID, deskTimeout, func(c context.Context) error { return a.desk.take(c, m) })
		if done == givenUp {
			a.tasks.cluster.distrust(m.NodeID)
		}
		return done != interrupted
	})
}

// allOf does something with each of a list, several at a time; it reports whether all of it could be done.
func allOf[T any](list []T, do func(T) bool) bool {
	var failed atomic.Bool
	sideBySide(applyWriters, list, func(v T) {
		if !do(v) {
			failed.Store(true)
		}
	})
	return !failed.Load()
}

// applyTasks applies the work on several tasks side by side, then acknowledges.
func (a *applier) applyTasks(ctx context.Context, list []*taskWork) bool {
	var mu sync.Mutex
	acks := map[string][]skalds.OutcomeKey{}
	complete := allOf(list, func(w *taskWork) bool {
		done := a.until(ctx, "reports of task "+w.taskID, storeTimeout, func(c context.Context) error {
			before := w.kept
			err := a.applyTask(c, w)
			if err != nil && w.kept > before {
				return partlyApplied{err}
			}
			return err
		})
		if done != applied {
			w.back = ""
		}
		owed := a.owes(w, done)
		mu.Lock()
		defer mu.Unlock()
		for _, m := range w.items {
			if done == applied && m.Outcome != nil && !owed {
				acks[m.NodeID] = append(acks[m.NodeID], m.Outcome.OutcomeKey)
			}
		}
		return done != interrupted
	})
	a.givenBack(list)
	for node, keys := range acks {
		for len(keys) > 0 {
			n := min(len(keys), acksPerMessage)
			a.outbox.send(node, skalds.NodeMessage{Acks: keys[:n]})
			keys = keys[n:]
		}
	}
	return complete
}

// givenBack notes what nodes have given back, for the log.
func (a *applier) givenBack(list []*taskWork) {
	for _, w := range list {
		if w.back != "" {
			key := [2]string{w.node, w.back}
			a.given[key] = append(a.given[key], w.taskID)
		}
	}
}

// logGivenBack says in one line for each node and reason what was given back since the last time: a drain gives back one by one.
func (a *applier) logGivenBack() {
	for key, ids := range a.given {
		logTakenBack(a.log, key[0], ids, "it has given them back: "+key[1])
	}
	clear(a.given)
}

// owes settles what follows where something that hosts told of a task was given up: they must say hello, which tells every
// end again that is not acknowledged. A host forgets an end when the record of it is acknowledged, so that waits. It reports
// whether it does.
func (a *applier) owes(w *taskWork, done ending) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range w.items {
		switch {
		case done == givenUp && m.Report != nil:
			a.tasks.cluster.distrust(m.NodeID)
			if m.Report.State.Final() || m.Report.GoneFor != "" {
				a.owed[w.taskID] = true
			}
		case done == applied && w.over:
			delete(a.owed, w.taskID)
		case done == applied && m.Report != nil && (m.Report.State.Final() || m.Report.GoneFor != ""):
			delete(a.owed, w.taskID)
		}
	}
	return a.owed[w.taskID]
}

// acksPerMessage keeps a message with ids of 128 bytes and long names within the bounds of the bus.
const acksPerMessage = 200

// ending is how an attempt to bring something into the store has ended.
type ending int

const (
	applied     ending = iota
	givenUp            // the store works, but does not take it; its host keeps it
	interrupted        // ctx has ended
)

// until does something until the store takes it, each time for as long as bound: nothing that a host reported may be skipped because the store is away.
// What the store refuses though it works is given up after a while, with a word; on a full disk some writes still fit, so
// that an answer proves nothing there.
func (a *applier) until(ctx context.Context, what string, bound time.Duration, do func(context.Context) error) ending {
	told := false
	for try := 1; ; try++ {
		c, cancel := context.WithTimeout(ctx, bound)
		err := do(c)
		cancel()
		if part := (partlyApplied{}); errors.As(err, &part) {
			try = 1
		}
		switch {
		case err == nil:
			return applied
		case ctx.Err() != nil:
			return interrupted
		case try >= applyTries && skalds.CodeOf(err) != skalds.CodeUnavailable && a.storeAnswers(ctx):
			a.log.Error("cannot apply: given up, since the store works otherwise", "what", what, "err", err)
			return givenUp
		case !told && !errors.Is(err, errNotLeader):
			a.log.Warn("cannot apply: tried again until it works", "what", what, "err", err)
			told = true
		}
		rest(ctx, min(time.Duration(try)*50*time.Millisecond, time.Second))
	}
}

// partlyApplied is an error of one who has come further all the same: the store takes what there is, if slowly.
type partlyApplied struct{ error }

func (e partlyApplied) Unwrap() error { return e.error }

func (a *applier) storeAnswers(ctx context.Context) bool {
	c, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return a.store.Ping(c) == nil
}

// applyTask brings everything about one task into the store: its records first, then one change of its document.
func (a *applier) applyTask(ctx context.Context, w *taskWork) error {
	w.items = slices.DeleteFunc(w.items, func(m skalds.HostMessage) bool { // of a host that was not taken on: it has nothing to answer for
		return m.Report != nil && m.Report.State == "" && !a.tasks.cluster.isSettled(m.NodeID, m.Incarnation)
	})
	needed := false
	var records []skalds.Outcome
	for _, m := range w.items {
		if m.Outcome != nil {
			records = append(records, *m.Outcome)
			needed = true
		}
		if r := m.Report; r != nil && (r.State != "" || r.Ack != skalds.AckReceived) {
			needed = true
		}
	}
	for w.kept < len(records) { // the others were kept by a try before, which a slow store has not let come to its end
		part := records[w.kept:min(len(records), w.kept+w.most)]
		begun := a.clock.Elapsed()
		if err := a.store.PutOutcome(ctx, part...); err != nil {
			w.most = max(1, len(part)/2)
			return err
		}
		w.kept += len(part)
		if a.clock.Elapsed()-begun < storeTimeout/16 {
			w.most *= 2
		}
	}
	if !needed {
		return nil
	}
	var stale *skalds.HostMessage
	t, err := a.tasks.change(ctx, w.taskID, func(t *skalds.Task, now int64) error {
		changed := false
		stale, w.back = nil, ""
		for i := range w.items {
			m := &w.items[i]
			if m.Outcome != nil {
				changed = applyOutcome(t, m.Outcome) || changed
				continue
			}
			switch applyReport(t, origin{m.NodeID, m.Incarnation}, m.Report, now) {
			case reportApplied:
				changed = true
				if m.Report.State == skalds.Created && m.Report.GoneFor != "" && t.LifecycleStatus == skalds.Created {
					w.node, w.back = m.NodeID, m.Report.GoneFor
				}
			case reportStale:
				stale = m
			}
		}
		if !changed {
			return errNoChange
		}
		return nil
	})
	if errors.Is(err, skalds.ErrNotFound) {
		w.over, w.back = true, ""
		return nil // pruned, or never ours
	}
	w.over = err == nil && t.LifecycleStatus.Final()
	if err == nil {
		for _, m := range w.items {
			if m.Outcome != nil && m.Outcome.Exit != nil && m.Outcome.Exit.EndedAt != 0 {
				a.tasks.cluster.ended(t.ClassName, m.Outcome.Exit, a.tasks.clock.Now())
			}
		}
	}
	if err == nil && stale != nil {
		r := stale.Report
		mark := skalds.TaskMark{TaskID: r.TaskID, Epoch: r.Epoch, DesiredRevision: r.DesiredRevision}
		c := goneCommand(r.TaskID, a.tasks.unanswered.generation(), mark, t, goneReason(t))
		a.outbox.send(stale.NodeID, skalds.NodeMessage{Command: &c})
	}
	return err
}

// goneReason is why a node shall end what it runs of a task.
func goneReason(t *skalds.Task) skalds.ExitKind {
	switch {
	case t != nil && t.LifecycleStatus == skalds.Cancelled:
		return skalds.ExitCancelled
	case t != nil && t.LastExit != nil && t.LastExit.Kind == skalds.ExitNodeLost:
		return skalds.ExitNodeLost
	}
	return skalds.ExitSuperseded
}
