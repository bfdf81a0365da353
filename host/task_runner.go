package host

import (
	"cmp"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
	"github.com/skalds-go/skalds/plugins"
)

// runnerDeps is what all runners of a host share.
type runnerDeps struct {
	nodeID      string
	dataDir     string // absolute
	grace       time.Duration
	workerRetry int
	catalog     *plugins.Catalog
	launcher    *plugins.Launcher
	isolation   skalds.NodeAbilities
	journal     *journal
	reporter    *reporter
	logs        *taskLogs
	cache       Cache
	checkpoints checkpoints
	secrets     secrets
	schemas     *schemaCache
	now         func() time.Time
	random      func() float64                               // [0,1), for jitter
	entry       func(taskID string) (conf.WorkerEntry, bool) // of the workers file; may be nil
	running     func(className, exceptTask string) int       // tasks of a class on this node
	memoryRoom  func(taskID string) int64                    // the most memory that could be reserved for the task here
	changed     func()                                       // something that heartbeats show has changed
	ended       func(*taskRunner, skalds.State)              // the runner is done; the state is empty where the task goes on elsewhere
}

// origin says who hands a task out.
type origin int

const (
	fromController origin = iota // may be refused and given back
	fromFile                     // stays here whatever happens
	fromCommand                  // single_process: stays here, and ends with its budget
)

// taskRunner is the life of one task on this node: a state machine whose state belongs to the goroutine of run. Others
// leave a wish (want, leave) and wake it. DESIGN.md draws it.
type taskRunner struct {
	taskID string
	origin origin
	deps   *runnerDeps
	log    hclog.Logger

	wake  chan struct{}
	inbox chan any // messages of the attempt and of operations on it
	done  chan struct{}

	mu      sync.Mutex // guards the wishes and the view
	wanted  *skalds.Command
	leaving *departure
	renewed int64 // epoch that an edge host gives a running assignment; 0: none
	nudged  bool
	asked   bool // report the state anew
	closed  bool // no wish is heard any more
	view    view

	// All below belongs to run.
	cmd      skalds.Command // in force
	applied  int64          // the desired revision that has been reported as applied
	restart  restartState
	number   int // of the last attempt in this epoch
	stages   map[string]json.RawMessage
	taskLog  *taskLog
	attempt  *attempt // nil: no process, none being started
	resolved bool     // its plugin and class are known
	live     bool     // the instance is launched
	inMain   bool     // Main has been entered
	frozen   bool     // paused, by the worker or by freezing its tree
	byWorker bool     // the pause is the worker's own
	unsure   bool     // frozen because its own pause was not answered in time: it may have paused as well
	unpaused bool     // the pause that is wanted has failed: not tried again until another command comes
	busy     string   // the operation that is under way on the instance
	deadline *deadlines
	overdue  bool            // killed for a broken bound
	held     json.RawMessage // attachments that the instance holds
	accepted json.RawMessage // the last that a running worker has taken
	rejected json.RawMessage // the last that it has refused: accepted holds in their place
	stopping *departure      // the attempt is being stopped
	cancel   context.CancelCauseFunc
	backoff  time.Time // no attempt before; zero: none planned
	waiting  string    // why nothing is started
	unlucky  int       // starts in a row that this node could not make
	lastExit *skalds.Exit
	progress skalds.Progress // of the last attempt, when it ended
	state    skalds.State    // as last reported
	finished bool
	base     context.Context // of everything that run starts
	wg       sync.WaitGroup
}

// departure is why and how a task leaves its process or this node.
type departure struct {
	kind      skalds.ExitKind
	message   string
	explained bool // the message says more than what a worker that was stopped can say of it
	atOnce    bool // kill the tree, without grace
	ordered   bool // by a command: a newer one can take it back
	quiet     bool // no state is reported: the task stays with this node (edge task, host stop)
}

// view is what others see of a runner.
type view struct {
	status       skalds.InstanceStatus
	epoch        int64
	revision     int64
	mode         skalds.Mode
	onDisconnect skalds.OnDisconnect
	reserved     skalds.Resources
	attempt      *attempt
	live         bool
	applied      bool
	desired      skalds.Desired
}

func newTaskRunner(cmd skalds.Command, from origin, deps *runnerDeps, log hclog.Logger) *taskRunner {
	r := &taskRunner{
		taskID: cmd.TaskID, origin: from, deps: deps, log: log.With("task_id", cmd.TaskID, "epoch", cmd.Epoch),
		wake: make(chan struct{}, 1), inbox: make(chan any, 16), done: make(chan struct{}),
		stages: map[string]json.RawMessage{}, restart: restartFrom(&cmd),
		state: skalds.Assigning,
	}
	r.take(cmd)
	r.publish()
	return r
}

// want asks for a newer desired state. The newest wish counts; those between are never seen. It is false where the
// runner has come to its end.
func (r *taskRunner) want(cmd skalds.Command) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.wanted = &cmd
	r.poke()
	return true
}

// unheard is the wish that came too late to be heard; nil: none.
func (r *taskRunner) unheard() *skalds.Command {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted
}

// leave makes the task leave this host. The first reason counts, but a kill at once overrides a farewell.
func (r *taskRunner) leave(d departure) {
	r.mu.Lock()
	if r.leaving == nil || (d.atOnce && !r.leaving.atOnce) {
		r.leaving = &d
	}
	r.mu.Unlock()
	r.poke()
}

// renumber gives the running assignment a new epoch without touching its process (edge hosts only).
func (r *taskRunner) renumber(epoch int64) {
	r.mu.Lock()
	r.renewed = epoch
	r.mu.Unlock()
	r.poke()
}

// announce makes the runner report its state anew: a controller has just come to know of its epoch.
func (r *taskRunner) announce() {
	r.mu.Lock()
	r.asked = true
	r.mu.Unlock()
	r.poke()
}

// nudge lets a runner look again that waits for a worker to be installed.
func (r *taskRunner) nudge() {
	r.mu.Lock()
	r.nudged = true
	r.mu.Unlock()
	r.poke()
}

func (r *taskRunner) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine that owns the task's state. It returns when the task has left this host and its process is dead.
// ctx ending is no stop: the host calls leave.
func (r *taskRunner) run(ctx context.Context) {
	r.base = context.WithoutCancel(ctx)
	defer close(r.done)
	var err error
	if r.taskLog, err = r.deps.logs.open(r.taskID); err != nil {
		r.log.Error("the task runs without a log file", "err", err)
		r.taskLog = &taskLog{taskID: r.taskID, owner: r.deps.logs, console: r.log, readers: map[*logReader]struct{}{}}
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		r.takeWishes()
		r.checkDeadlines()
		r.reconcile()
		r.publish()
		if r.finished {
			break
		}
		timer.Reset(r.untilNext())
		select {
		case <-r.wake:
		case m := <-r.inbox:
			r.takeWishes() // what was wished before counts before what has happened is judged
			r.handle(m)
		case <-timer.C:
		}
	}
	r.wg.Wait()
	if err := r.taskLog.Close(); err != nil {
		r.log.Debug("cannot close the task's log", "err", err)
	}
}

// tell brings a message to the runner; it is called by other goroutines and waits until there is room.
func (r *taskRunner) tell(m any) {
	select {
	case r.inbox <- m:
	case <-r.done:
	}
}

// takeWishes moves what others asked for into the runner's own state.
func (r *taskRunner) takeWishes() {
	r.mu.Lock()
	wanted, renewed, nudged, asked := r.wanted, r.renewed, r.nudged, r.asked
	r.wanted, r.renewed, r.nudged, r.asked = nil, 0, false, false
	r.mu.Unlock()
	if renewed > r.cmd.Epoch {
		r.cmd.Epoch, r.cmd.DesiredRevision = renewed, 0
		if r.attempt != nil {
			r.attempt.renumber(renewed)
		}
		r.keepForRestart() // those that came before it knew
	}
	if nudged && r.waiting != "" && r.attempt == nil {
		r.backoff = time.Time{}
	}
	if wanted != nil {
		r.take(*wanted)
	}
	if leaving := r.leavingFor(); leaving != nil { // read after take, which may have called it off
		r.depart(*leaving)
	}
	if asked && r.state != skalds.Assigning {
		rep := skalds.Report{State: r.state, Phase: r.phase(), Exit: r.lastExit}
		if rep.Phase == skalds.PhaseBackoff {
			rep.NextAttemptAt = r.backoff.UnixMilli()
		}
		r.report(rep)
	}
}

// take puts a command in force.
func (r *taskRunner) take(cmd skalds.Command) {
	fresh := cmd.Epoch != r.cmd.Epoch // under another generation of the store the same epoch is the same assignment
	if cmd.Spec == nil {
		cmd.Spec = r.cmd.Spec // Gone says nothing about the task
	}
	if cmd.Spec != nil {
		spec := cmd.Spec.WithDefaults(r.deps.workerRetry)
		cmd.Spec = &spec
	}
	r.cmd, r.unpaused = cmd, false
	if fresh && r.origin == fromFile {
		clear(r.stages) // the journal has those that still count
	}
	for name, v := range cmd.Stages {
		r.stages[name] = v
	}
	if fresh {
		r.number, r.applied, r.backoff, r.waiting, r.unlucky = 0, 0, time.Time{}, "", 0
		r.progress = skalds.Progress{}
		r.restart = restartFrom(&cmd)
	}
	if cmd.Desired == skalds.DesiredGone {
		r.depart(departure{kind: goneKind(cmd.Reason), message: cmp.Or(cmd.Why, cmd.Reason), explained: cmd.Why != "", ordered: true})
		return
	}
	r.mu.Lock()
	if r.leaving != nil && r.leaving.ordered {
		r.leaving = nil
	}
	r.mu.Unlock()
	if fresh && r.attempt != nil && r.stopping == nil {
		r.stopAttempt(departure{kind: skalds.ExitSuperseded, message: "a newer assignment took over"})
	}
}

// goneKind translates the reason of a command.
func goneKind(reason string) skalds.ExitKind {
	switch k := skalds.ExitKind(reason); k {
	case skalds.ExitCancelled, skalds.ExitDrain, skalds.ExitPreempted, skalds.ExitNodeLost, skalds.ExitHostStop:
		return k
	case "":
		return skalds.ExitCancelled
	}
	return skalds.ExitSuperseded
}

// untilNext is how long there is nothing to do but for messages.
func (r *taskRunner) untilNext() time.Duration {
	const idle = time.Hour
	var at time.Time
	switch {
	case r.attempt != nil:
		if r.stopping != nil || r.overdue {
			return idle
		}
		at = r.deadline.next()
	case r.cmd.Desired == skalds.DesiredRunning:
		at = r.backoff
	}
	if at.IsZero() {
		return idle
	}
	return max(at.Sub(r.deps.now()), 0)
}
