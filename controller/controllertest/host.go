package controllertest

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
)

// Plan is what a pretended worker does in one attempt.
type Plan struct {
	Runs   time.Duration // how long; below zero: until it is stopped
	Exit   skalds.Exit   // how it ends; the zero value is completed
	Refuse string        // the host refuses the task for this reason
	Final  bool          // with Refuse: no other node would do better
	Result json.RawMessage
	Needs  int64 // with an end for memory: the raised limit, for which the host gives the task back
}

// Host speaks like a host and runs nothing: marks, reports, outcomes, heartbeats and the lease follow the rules of a real
// one, and what a real one keeps on disk survives Kill.
type Host struct {
	ID      string
	Workers []skalds.WorkerInfo
	Labels  map[string]string
	// Isolation is what it says that it can do for that of tasks.
	Isolation skalds.NodeAbilities
	Capacity  skalds.Capacity
	Mode      skalds.NodeMode
	Lease     time.Duration // 0: 6s
	Behave    func(c skalds.Command, attempt int) Plan
	Usage     skalds.Usage // of every running task
	// Enforcement is what heartbeats say of limits.
	Enforcement skalds.Enforcement
	// Watch, where set, hears of every process that begins and ends.
	Watch func(taskID string, epoch int64, runs bool)
	Step  time.Duration // how often it looks what has ended, and at its lease; 0: 20ms

	bus Line

	mu          sync.Mutex // guards all below
	incarnation int64
	beatSeq     int64
	reportSeq   int64
	said        int64     // number of the last hello
	saidAt      time.Time // when
	needed      int64     // number of the first hello whose answer counts
	answered    bool      // it has come: dispatched tasks are taken
	cut         bool
	leaving     bool      // starts nothing more
	renewed     time.Time // the last heartbeat that got through
	unbroken    time.Time // since when they have, without a gap that cost the tasks their lease
	marks       map[string]heldMark
	running     map[string]*instance
	outcomes    map[skalds.OutcomeKey]skalds.Outcome // that no controller has acknowledged
	recorded    []skalds.Outcome                     // all there ever were
	finals      map[string]skalds.Report
	frozen      bool
	term        int64                // the highest of a leader's
	waiting     []skalds.HostMessage // that could not be sent
	received    []skalds.NodeMessage
	starts      map[string]int // of processes, by task
	inbox       <-chan skalds.NodeMessage
	stop        chan struct{}
	done        chan struct{}
}

type heldMark struct {
	generation, epoch, revision int64
	closed                      bool
	incarnation                 int64
}

type instance struct {
	cmd     skalds.Command
	epoch   int64 // under which the process was started
	attempt int
	budget  int
	state   skalds.State
	plan    Plan
	started time.Time
	left    time.Duration // until it ends, without pauses
	since   time.Time
	dead    bool // killed while the host was frozen, which does not know it yet
}

// Line is what connects a host with controllers. Its methods are safe for concurrent use.
type Line interface {
	// Inbox begins to take what is sent to the node; what was sent before is lost.
	Inbox(node string) <-chan skalds.NodeMessage
	// Partition is the one of the bus that the inbox reads.
	Partition(node string) int32
	// Unplug takes the inbox away.
	Unplug(node string)
	// Report sends messages, all or none, in order.
	Report(msgs ...skalds.HostMessage) error
	// Beat sends a heartbeat on all ways there are, and reports whether it has come through on one of them.
	Beat(h skalds.Heartbeat) bool
}

// NewHost makes a host that offers workers; Start starts it.
func NewHost(bus Line, id string, workers ...skalds.WorkerInfo) *Host {
	return &Host{
		ID: id, Workers: workers, bus: bus, Capacity: skalds.Capacity{CPUCores: 8, MemoryBytes: 8 << 30}, Mode: skalds.NodeModeNode,
		Behave: func(skalds.Command, int) Plan { return Plan{Runs: 100 * time.Millisecond} },
		marks:  map[string]heldMark{}, outcomes: map[skalds.OutcomeKey]skalds.Outcome{}, finals: map[string]skalds.Report{},
		starts: map[string]int{},
	}
}

// Worker is a plugin with one class that takes any attachments.
func Worker(name, version, class string) skalds.WorkerInfo {
	return skalds.WorkerInfo{Name: name, Version: version, Digest: "sha256:" + name + version, Protocol: 1, Classes: []skalds.ClassInfo{{ClassName: class}}}
}

// Start starts the host under a new incarnation.
func (h *Host) Start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.incarnation++
	h.beatSeq, h.reportSeq, h.leaving = 0, 0, false
	h.running = map[string]*instance{}
	h.frozen = false
	h.inbox = h.bus.Inbox(h.ID)
	h.begin(func() { h.said = 0; h.beat(); h.anew() })
}

// begin has the host work. The mutex is held.
func (h *Host) begin(first func()) {
	h.stop, h.done = make(chan struct{}), make(chan struct{})
	go h.run(h.inbox, first, h.stop, h.done)
}

// Crash is Kill where somebody watches over the host: it returns what that one would tell the controllers, one message that says
// no more than that the host is gone, and one for each process that is dead.
func (h *Host) Crash() []skalds.HostMessage {
	if !h.halt() {
		return nil
	}
	told := h.gone(false)
	h.bury()
	return told
}

// Freeze stops the host as SIGSTOP does, where somebody watches over it and kills its processes; it returns what that one
// would tell.
func (h *Host) Freeze() []skalds.HostMessage {
	if !h.halt() {
		return nil
	}
	told := h.gone(true)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen = true
	for _, in := range h.inOrder() {
		h.watch(in, false)
		in.dead = true
	}
	return told
}

// Thaw lets a frozen host go on, in the same incarnation: it finds its processes dead, and gives their tasks back.
func (h *Host) Thaw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.frozen {
		return
	}
	h.frozen = false
	h.begin(func() {
		for _, in := range h.inOrder() {
			h.end(in, skalds.Report{State: skalds.Created, GoneFor: "lease_lost"}, &skalds.Exit{Kind: skalds.ExitLeaseLost})
		}
		h.lease() // before anything is taken: it may be an old word
	})
}

func (h *Host) gone(silent bool) []skalds.HostMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := func(tasks ...skalds.GoneTask) skalds.HostMessage {
		return skalds.HostMessage{NodeID: h.ID, Incarnation: h.incarnation, Gone: &skalds.HostGone{Tasks: tasks, Silent: silent}}
	}
	told := []skalds.HostMessage{m()}
	for _, in := range h.inOrder() {
		told = append(told, m(skalds.GoneTask{TaskID: in.cmd.TaskID, Epoch: in.cmd.Epoch}))
	}
	return told
}

// Kill ends the host as SIGKILL does: its processes are gone, nothing is said.
func (h *Host) Kill() {
	h.mu.Lock()
	frozen := h.frozen
	h.mu.Unlock()
	if h.halt() || frozen {
		h.bury()
	}
}

// halt ends the host's work where it stands; it reports whether there was any.
func (h *Host) halt() bool {
	h.mu.Lock()
	stop, done := h.stop, h.done
	h.stop = nil
	h.mu.Unlock()
	if stop == nil {
		return false
	}
	close(stop)
	<-done
	return true
}

// bury takes away what a dead host leaves.
func (h *Host) bury() {
	h.bus.Unplug(h.ID)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, in := range h.inOrder() {
		h.watch(in, false)
	}
	h.running, h.waiting, h.frozen = nil, nil, false
}

func (h *Host) watch(in *instance, runs bool) {
	if h.Watch != nil && !in.dead {
		h.Watch(in.cmd.TaskID, in.epoch, runs)
	}
}

// Stop ends the host in good order: it gives its tasks back and says goodbye.
func (h *Host) Stop() {
	h.mu.Lock()
	h.leaving = true
	for _, in := range h.inOrder() {
		h.end(in, skalds.Report{State: skalds.Created, GoneFor: "host_stop"}, &skalds.Exit{Kind: skalds.ExitHostStop})
	}
	h.send(skalds.HostMessage{Bye: true})
	h.mu.Unlock()
	h.Kill()
}

// SetCut separates the host from bus and heartbeat store, or connects it again.
func (h *Host) SetCut(cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut == cut {
		return
	}
	h.cut = cut
	if !cut && h.stop != nil {
		h.anew()
	}
}

// Starts says how often processes of a task were started here.
func (h *Host) Starts(taskID string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts[taskID]
}

// Runs reports whether a process of a task is here.
func (h *Host) Runs(taskID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := h.running[taskID]
	return in != nil && !in.dead
}

// Open is how many outcomes no controller has acknowledged.
func (h *Host) Open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.outcomes)
}

// Recorded lists every outcome that there was, acknowledged or not.
func (h *Host) Recorded() []skalds.Outcome {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.recorded)
}

// Renewed is when a heartbeat got through the last time, and since when they have done so without a gap that
// cost the tasks here their lease.
func (h *Host) Renewed() (last, unbroken time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.renewed, h.unbroken
}

// Incarnation counts the starts of the host.
func (h *Host) Incarnation() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.incarnation
}

// Received lists what controllers have told the host.
func (h *Host) Received() []skalds.NodeMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.received)
}

// Say sends a message as the host.
func (h *Host) Say(m skalds.HostMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.send(m)
}

func (h *Host) run(inbox <-chan skalds.NodeMessage, first func(), stop, done chan struct{}) {
	defer close(done)
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	every := cmp.Or(h.Step, 20*time.Millisecond)
	step := time.NewTicker(every)
	defer step.Stop()
	resend := max(1, int(30*time.Second/every))
	h.locked(first)
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case m := <-inbox:
			h.locked(func() {
				if !h.cut && !h.leaving {
					h.take(m)
				}
			})
		case <-beat.C:
			h.locked(func() { h.beat(); h.reconnect() })
		case <-step.C:
			h.locked(func() {
				h.lease()
				h.insist()
				h.step()
				if n%resend == 0 {
					h.resend()
				}
			})
		}
	}
}

func (h *Host) locked(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
}

// send reports in order, after everything that waits; what the bus does not take waits.
func (h *Host) send(msgs ...skalds.HostMessage) {
	for i := range msgs {
		msgs[i].NodeID, msgs[i].Incarnation = h.ID, h.incarnation
	}
	h.waiting = append(h.waiting, msgs...)
	h.flush()
}

func (h *Host) flush() {
	if !h.cut && h.bus.Report(h.waiting...) == nil {
		h.waiting = nil
	}
}

// reconnect tries again what the bus did not take, and says hello where it has worked: messages may have been lost.
func (h *Host) reconnect() {
	if h.cut || len(h.waiting) == 0 {
		return
	}
	if h.flush(); len(h.waiting) == 0 {
		h.hello()
	}
}

func (h *Host) report(r skalds.Report) {
	h.reportSeq++
	r.Seq, r.At = h.reportSeq, time.Now().UnixMilli()
	if r.State.Final() || r.GoneFor != "" && r.Attempt > 0 {
		h.finals[r.TaskID] = r
	}
	h.send(skalds.HostMessage{Report: &r})
}

func (h *Host) beat() {
	h.beatSeq++
	if h.cut {
		return
	}
	hb := skalds.Heartbeat{
		NodeID: h.ID, Incarnation: h.incarnation, Seq: h.beatSeq, At: time.Now().UnixMilli(), Mode: h.Mode, Partition: h.bus.Partition(h.ID),
		Capacity: h.Capacity, Enforcement: h.Enforcement, Isolation: h.Isolation, Labels: h.Labels,
	}
	for _, w := range h.Workers {
		hb.Workers = append(hb.Workers, w.Ref())
	}
	for _, in := range h.inOrder() {
		hb.Instances = append(hb.Instances, skalds.InstanceStatus{
			TaskID: in.cmd.TaskID, ClassName: in.cmd.Spec.ClassName, Epoch: in.cmd.Epoch, Attempt: in.attempt, State: in.state,
			PID: 4711, Worker: h.worker(), StartedAt: in.started.UnixMilli(), Usage: h.Usage, Peak: h.Usage,
		})
	}
	if h.bus.Beat(hb) {
		if time.Since(h.renewed) >= h.leaseTime()-time.Second {
			h.unbroken = time.Now()
		}
		h.renewed = time.Now()
	}
}

func (h *Host) worker() string {
	if len(h.Workers) == 0 {
		return ""
	}
	return h.Workers[0].Ref()
}

func (h *Host) inOrder() []*instance {
	var out []*instance
	for _, in := range h.running {
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b *instance) int { return cmp.Compare(a.cmd.TaskID, b.cmd.TaskID) })
	return out
}

func (h *Host) leaseTime() time.Duration { return cmp.Or(h.Lease, 6*time.Second) }

// lease kills what others may run when no heartbeat got through for too long: a second before they may.
func (h *Host) lease() {
	if time.Since(h.renewed) < h.leaseTime()-time.Second {
		return
	}
	h.shut()
	for _, in := range h.inOrder() {
		if in.cmd.Spec.OnDisconnect != skalds.OnDisconnectKeep {
			h.end(in, skalds.Report{State: skalds.Created, GoneFor: "lease_lost"}, &skalds.Exit{Kind: skalds.ExitLeaseLost})
		}
	}
}

// hello says first how things ended, then what runs, then what is not acknowledged.
// anew says hello and takes nothing that begins or changes a task before that is answered: it may be an old word.
func (h *Host) anew() {
	h.shut()
	h.hello()
}

func (h *Host) shut() { h.needed, h.answered = h.said+1, false }

// insist says hello again where it was not answered.
func (h *Host) insist() {
	if !h.answered && !h.cut && !h.leaving && len(h.waiting) == 0 && time.Since(h.saidAt) >= 2*time.Second {
		h.hello()
	}
}

func (h *Host) hello() {
	h.said++
	h.saidAt = time.Now()
	var finals []skalds.Report
	for _, f := range h.finals {
		finals = append(finals, f)
	}
	slices.SortFunc(finals, func(a, b skalds.Report) int { return cmp.Compare(a.TaskID, b.TaskID) })
	for _, f := range finals {
		h.reportSeq++
		f.Seq = h.reportSeq
		h.send(skalds.HostMessage{Report: &f})
	}
	hello := skalds.Hello{Mode: h.Mode, Partition: h.bus.Partition(h.ID), Workers: h.Workers, Number: h.said, Part: 1, Parts: 1}
	for id, m := range h.marks {
		if m.closed && h.finals[id].TaskID == "" {
			continue
		}
		mark := skalds.TaskMark{TaskID: id, Epoch: m.epoch, DesiredRevision: m.revision, Mode: skalds.ModePassive, State: h.finals[id].State}
		if in := h.running[id]; in != nil {
			mark.Running, mark.State, mark.Mode = true, in.state, in.cmd.Spec.Mode
		}
		hello.Tasks = append(hello.Tasks, mark)
	}
	slices.SortFunc(hello.Tasks, func(a, b skalds.TaskMark) int { return cmp.Compare(a.TaskID, b.TaskID) })
	h.send(skalds.HostMessage{Hello: &hello})
	h.resend()
}

func (h *Host) resend() {
	var keys []skalds.OutcomeKey
	for k := range h.outcomes {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b skalds.OutcomeKey) int {
		return cmp.Or(cmp.Compare(a.TaskID, b.TaskID), cmp.Compare(a.Epoch, b.Epoch), a.Attempt-b.Attempt)
	})
	for _, k := range keys {
		o := h.outcomes[k]
		h.send(skalds.HostMessage{Outcome: &o})
	}
}

func (h *Host) take(m skalds.NodeMessage) {
	if m.Stream == nil {
		if m.Term < h.term {
			return // of a leader that was replaced
		}
		h.term = m.Term
	}
	h.received = append(h.received, m)
	switch {
	case m.Command != nil:
		h.order(*m.Command)
	case m.Answer != nil && m.Answer.Incarnation == h.incarnation && m.Answer.Number >= h.needed:
		h.answered = true
		for _, c := range m.Answer.Commands {
			h.order(c)
		}
	case m.AskHello:
		h.hello()
	}
	for _, k := range m.Acks {
		delete(h.outcomes, k)
		if f, ok := h.finals[k.TaskID]; ok && k.Kind == skalds.OutcomeExit && f.Epoch == k.Epoch && f.Attempt <= k.Attempt {
			delete(h.finals, k.TaskID)
		}
	}
}

func (h *Host) order(c skalds.Command) {
	known, ok := h.marks[c.TaskID]
	last := skalds.Command{Generation: known.generation, Epoch: known.epoch, DesiredRevision: known.revision}
	ack := skalds.Report{TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Ack: skalds.AckReceived}
	in := h.running[c.TaskID]
	if ok && !c.Newer(&last) {
		if !last.Newer(&c) {
			h.repeat(c)
		}
		return
	}
	if c.Desired != skalds.DesiredGone && !h.answered {
		return
	}
	left := ok && in == nil && known.generation == c.Generation && known.epoch == c.Epoch && (known.closed || known.incarnation != h.incarnation)
	h.marks[c.TaskID] = heldMark{c.Generation, c.Epoch, c.DesiredRevision, left, h.incarnation}
	if left { // a wish that has crossed the word of its end, or the hello of a new incarnation: an epoch is not begun twice
		h.repeat(c)
		return
	}
	if f, ok := h.finals[c.TaskID]; ok && f.Epoch < c.Epoch {
		delete(h.finals, c.TaskID)
	}
	h.report(ack)
	ack.Ack = skalds.AckApplied
	switch {
	case c.Desired == skalds.DesiredGone && in == nil:
		h.close(c.TaskID)
		h.report(ack)
	case c.Desired == skalds.DesiredGone:
		in.cmd.DesiredRevision = c.DesiredRevision
		if c.Epoch == in.cmd.Epoch && c.Reason == string(skalds.ExitDrain) {
			h.end(in, skalds.Report{State: skalds.Created, GoneFor: c.Reason, Ack: skalds.AckApplied}, &skalds.Exit{Kind: skalds.ExitDrain})
			return
		}
		kind := skalds.ExitKind(c.Reason)
		h.drop(in, &skalds.Exit{Kind: kind})
		h.close(c.TaskID)
		if kind == skalds.ExitCancelled {
			ack.State = skalds.Cancelled
		}
		h.report(ack)
	case in != nil && in.cmd.Epoch == c.Epoch:
		in.cmd = c
		h.steer(in)
		h.report(skalds.Report{
			TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision, Ack: skalds.AckApplied, State: in.state, Attempt: in.attempt,
			BudgetUsed: in.budget, PID: 4711, StartedAt: in.started.UnixMilli(),
		})
	default:
		if in != nil {
			h.drop(in, &skalds.Exit{Kind: skalds.ExitSuperseded})
		}
		h.launch(&instance{cmd: c, epoch: c.Epoch, budget: c.BudgetUsed})
	}
}

// repeat answers a command by what has become of the task here.
func (h *Host) repeat(c skalds.Command) {
	r := skalds.Report{TaskID: c.TaskID, Epoch: c.Epoch, DesiredRevision: c.DesiredRevision}
	in := h.running[c.TaskID]
	switch f := h.finals[c.TaskID]; {
	case in != nil:
		r.Ack, r.State, r.Attempt = skalds.AckApplied, in.state, in.attempt
	case f.TaskID != "" && f.Epoch == c.Epoch:
		r = f
	case c.Desired == skalds.DesiredGone:
		r.Ack = skalds.AckApplied
	default:
		r.Ack, r.Reason = skalds.AckRefused, "the task has left this host"
	}
	h.report(r)
}

// steer pauses or resumes.
func (h *Host) steer(in *instance) {
	now := time.Now()
	switch {
	case in.cmd.Desired == skalds.DesiredPaused && in.state == skalds.Running:
		in.left -= now.Sub(in.since)
		in.state = skalds.Paused
	case in.cmd.Desired == skalds.DesiredRunning && in.state == skalds.Paused:
		in.state, in.since = skalds.Running, now
	}
}

func (h *Host) launch(in *instance) {
	in.attempt++
	in.plan = h.Behave(in.cmd, in.attempt)
	if in.plan.Refuse != "" {
		if h.running[in.cmd.TaskID] != nil {
			delete(h.running, in.cmd.TaskID)
			h.watch(in, false)
		}
		h.close(in.cmd.TaskID)
		h.report(skalds.Report{
			TaskID: in.cmd.TaskID, Epoch: in.cmd.Epoch, DesiredRevision: in.cmd.DesiredRevision, Ack: skalds.AckRefused,
			Reason: in.plan.Refuse, Permanent: in.plan.Final,
		})
		return
	}
	h.starts[in.cmd.TaskID]++
	in.started, in.since, in.left, in.state = time.Now(), time.Now(), in.plan.Runs, skalds.Running
	h.running[in.cmd.TaskID] = in
	if in.attempt == 1 {
		h.watch(in, true)
	}
	h.steer(in)
	h.report(skalds.Report{
		TaskID: in.cmd.TaskID, Epoch: in.cmd.Epoch, DesiredRevision: in.cmd.DesiredRevision, Ack: skalds.AckApplied, State: in.state,
		Attempt: in.attempt, BudgetUsed: in.budget, WorkerVersion: h.worker(), PID: 4711, StartedAt: in.started.UnixMilli(),
	})
}

// step ends what has run long enough.
func (h *Host) step() {
	for _, in := range h.inOrder() {
		if in.state != skalds.Running || in.plan.Runs < 0 || time.Since(in.since) < in.left {
			continue
		}
		exit := in.plan.Exit
		if exit.Kind == "" || exit.Kind == skalds.ExitCompleted {
			if in.plan.Result != nil {
				h.outcome(skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: in.cmd.TaskID, Epoch: in.cmd.Epoch, Attempt: in.attempt, Kind: skalds.OutcomeResult}, Value: in.plan.Result})
			}
			h.end(in, skalds.Report{State: skalds.Finished}, &skalds.Exit{Kind: skalds.ExitCompleted})
			continue
		}
		if in.plan.Needs > 0 {
			h.end(in, skalds.Report{
				State: skalds.Created, GoneFor: "memory", Exception: exit.Message,
				MemoryFailures: in.cmd.MemoryFailures + 1, MemoryLimit: in.plan.Needs,
			}, &exit)
			continue
		}
		in.budget++
		switch limit := in.cmd.Spec.Retry.MaxAttempts; {
		case exit.Permanent || limit > 0 && in.budget >= limit:
			h.end(in, skalds.Report{State: skalds.Failed, Exception: exit.Message}, &exit)
		case in.attempt >= 3:
			h.end(in, skalds.Report{State: skalds.Created, GoneFor: "move", Exception: exit.Message}, &exit)
		default:
			h.record(in, &exit)
			h.launch(in)
		}
	}
}

// end closes a task here: its last report, then its record.
func (h *Host) end(in *instance, r skalds.Report, exit *skalds.Exit) {
	r.TaskID, r.Epoch, r.DesiredRevision = in.cmd.TaskID, in.cmd.Epoch, in.cmd.DesiredRevision
	r.Attempt, r.BudgetUsed, r.Exit, r.WorkerVersion = in.attempt, in.budget, exit, h.worker()
	h.watch(in, false)
	delete(h.running, in.cmd.TaskID)
	h.close(in.cmd.TaskID)
	h.report(r)
	h.record(in, exit)
}

// drop ends a process that has no say any more; only its record is left.
func (h *Host) drop(in *instance, exit *skalds.Exit) {
	delete(h.running, in.cmd.TaskID)
	h.watch(in, false)
	h.record(in, exit)
}

func (h *Host) close(taskID string) {
	m := h.marks[taskID]
	m.closed = true
	h.marks[taskID] = m
}

func (h *Host) record(in *instance, exit *skalds.Exit) {
	h.outcome(skalds.Outcome{
		OutcomeKey: skalds.OutcomeKey{TaskID: in.cmd.TaskID, Epoch: in.epoch, Attempt: in.attempt, Kind: skalds.OutcomeExit},
		Exit: &skalds.Attempt{
			TaskID: in.cmd.TaskID, Epoch: in.epoch, Attempt: in.attempt, Node: h.ID, Version: h.worker(), PID: 4711,
			StartedAt: in.started.UnixMilli(), EndedAt: time.Now().UnixMilli(), Exit: exit, LogTail: "last words of " + in.cmd.TaskID + "\n",
		},
	})
}

func (h *Host) outcome(o skalds.Outcome) {
	h.outcomes[o.OutcomeKey] = o
	h.recorded = append(h.recorded, o)
	h.send(skalds.HostMessage{Outcome: &o})
}
