package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// The life of a task as pure functions: each takes a task (a copy of the stored one), changes it, and knows neither clock
// nor store. What follows from a change (commands, events, the ledger) is read from the difference by effectsOf.

// Bounds of the life cycle.
const (
	quarantineLosses = 3
	quarantineWindow = 10 * time.Minute
	movesWindow      = 10 * time.Minute
	// movesAtOnce is how many nodes may refuse a task before the next one has to wait as well. A node that would take it shall
	// not wait for those that do not; and a task that none takes must not keep every node busy.
	movesAtOnce = 8
	maxMoves    = 64 // remembered; a back-off of the slowest growth has reached its end by then, or will not
	maxRefusals = 32 // remembered: nodes beyond them may be asked again before some that were never asked
	maxWhyRunes = 200
)

// become moves a task to a state by the table in the root package. A step that the reports of a node left out is taken.
func become(t *skalds.Task, next skalds.State) bool {
	switch {
	case t.LifecycleStatus == next:
		return true
	case t.LifecycleStatus.CanBecome(next):
	case t.LifecycleStatus == skalds.Assigning && skalds.Running.CanBecome(next):
	default:
		return false
	}
	t.LifecycleStatus = next
	return true
}

// toCreated takes a task back from its node, to be handed out anew: with a new epoch, so that every late word of the old
// run is old. One that was paused is held back in that state.
func toCreated(t *skalds.Task, now int64) {
	paused := t.LifecycleStatus == skalds.Paused && t.Desired != skalds.DesiredRunning || t.Desired == skalds.DesiredPaused
	t.LifecycleStatus = skalds.Created
	t.Epoch++
	t.Desired = skalds.DesiredRunning
	if paused {
		t.LifecycleStatus, t.Desired = skalds.Paused, skalds.DesiredPaused
	}
	t.AckedRevision = t.DesiredRevision
	t.Executor, t.QueuedAt = "", now
	clearRun(t)
}

// clearRun forgets what belonged to an epoch only.
func clearRun(t *skalds.Task) {
	t.Phase, t.NextAttemptAt, t.Attempt, t.RowFailures = skalds.PhaseNone, 0, 0, 0
	t.PID, t.StartedAt, t.Waiting, t.WorkerVersion = 0, 0, "", ""
	t.AppliedIncarnation, t.AppliedSeq = 0, 0
}

// end closes a task.
func end(t *skalds.Task, state skalds.State, now int64) {
	t.LifecycleStatus, t.EndedAt = state, now
	t.Phase, t.NextAttemptAt, t.PID, t.Waiting, t.Quarantined, t.AvoidNode = skalds.PhaseNone, 0, 0, "", "", ""
	t.Moves, t.Refusals, t.NodeLosses = nil, nil, nil
}

// handOut gives a Created task to a node.
func handOut(t *skalds.Task, node string) bool {
	if t.Quarantined != "" || !become(t, skalds.Assigning) {
		return false
	}
	clearRun(t)
	t.Executor = node
	if t.Mode != skalds.ModeActive {
		t.BoundTo = ""
	}
	t.Epoch++
	t.Desired = skalds.DesiredRunning
	t.DesiredRevision++
	if t.RunEpoch == 0 {
		t.RunEpoch = t.Epoch
	}
	return true
}

// cancel ends a task on a user's word. It is final at once; the process leaves by the stop ladder.
func cancel(t *skalds.Task, now int64) error {
	switch {
	case t.LifecycleStatus == skalds.Cancelled:
		return errNoChange
	case t.LifecycleStatus.Final():
		return skalds.Errorf(skalds.CodeConflict, "task %s has %s: only a task that has not ended can be cancelled", t.ID, ended(t))
	}
	onNode := t.Executor != "" && t.LifecycleStatus.OnNode()
	end(t, skalds.Cancelled, now)
	if onNode {
		t.Desired = skalds.DesiredGone
		t.DesiredRevision++
	}
	return nil
}

// pause holds a task back, or has its node freeze it.
func pause(t *skalds.Task) error {
	switch {
	case t.LifecycleStatus.Final():
		return skalds.Errorf(skalds.CodeConflict, "task %s has %s: only a task that has not ended can be paused", t.ID, ended(t))
	case t.LifecycleStatus == skalds.Paused && t.Desired == skalds.DesiredPaused:
		return skalds.Errorf(skalds.CodeConflict, "task %s is paused already", t.ID)
	case t.LifecycleStatus == skalds.Created:
		t.LifecycleStatus, t.Desired = skalds.Paused, skalds.DesiredPaused
		return nil
	case t.Desired == skalds.DesiredPaused:
		return errNoChange
	case t.Desired == skalds.DesiredGone:
		return skalds.Errorf(skalds.CodeConflict, "task %s is leaving node %s at the moment: pause it when it is placed again", t.ID, t.Executor)
	}
	t.Desired = skalds.DesiredPaused
	t.DesiredRevision++
	return nil
}

// resume lets a paused task go on.
func resume(t *skalds.Task, now int64) error {
	switch {
	case t.LifecycleStatus.Final():
		return skalds.Errorf(skalds.CodeConflict, "task %s has %s: only a paused task can be resumed; retry runs it again", t.ID, ended(t))
	case t.LifecycleStatus == skalds.Paused && heldBack(t):
		toCreated(t, now)
		t.LifecycleStatus, t.Desired = skalds.Created, skalds.DesiredRunning
		return nil
	case t.Desired == skalds.DesiredPaused:
		t.Desired = skalds.DesiredRunning
		t.DesiredRevision++
		return nil
	case t.LifecycleStatus == skalds.Paused:
		return errNoChange // on its way
	}
	return skalds.Errorf(skalds.CodeConflict, "task %s is %s, not paused", t.ID, t.LifecycleStatus)
}

// heldBack reports whether a task is paused without a node.
func heldBack(t *skalds.Task) bool { return t.LifecycleStatus == skalds.Paused && t.Executor == "" }

// retry runs a task again that has ended, or releases one from quarantine: a fresh budget, a new epoch, nothing kept of
// the run before but its records. Where the old process may still be there, the task stays bound to its node.
func retry(t *skalds.Task, now int64) error {
	if t.LifecycleStatus == skalds.Created && t.Quarantined != "" {
		t.Quarantined, t.NodeLosses, t.QueuedAt = "", nil, now
		t.Epoch++
		return nil
	}
	if !t.LifecycleStatus.Final() {
		return skalds.Errorf(skalds.CodeConflict, "task %s is %s: only a task that has ended can be retried", t.ID, t.LifecycleStatus)
	}
	if t.AckedRevision < t.DesiredRevision {
		t.BoundTo = t.Executor
	}
	toCreated(t, now)
	t.LifecycleStatus, t.Desired = skalds.Created, skalds.DesiredRunning
	t.Run++
	t.RunEpoch = t.Epoch
	t.EndedAt = 0
	freshBudget(t)
	t.Stages, t.Result, t.Error, t.Exception, t.LastExit = nil, nil, "", "", nil
	t.Progress = skalds.Progress{}
	t.AvoidNode, t.Moves, t.Refusals, t.NodeLosses, t.Quarantined = "", nil, nil, nil, ""
	return nil
}

// freshBudget forgets the failures of a run, and the memory limit that they have led to.
func freshBudget(t *skalds.Task) { t.BudgetUsed, t.MemoryFailures, t.MemoryLimit = 0, 0, 0 }

// updateAttachments exchanges the parameters; a task on a node gets them by a command.
func updateAttachments(t *skalds.Task, doc json.RawMessage) error {
	if t.LifecycleStatus.Final() {
		return skalds.Errorf(skalds.CodeConflict, "task %s has %s: its attachments cannot be changed any more; retry it first", t.ID, ended(t))
	}
	if skalds.ContentHash(t.Attachments) == skalds.ContentHash(doc) {
		return errNoChange
	}
	t.Attachments = doc
	if t.LifecycleStatus.OnNode() && t.Executor != "" {
		t.DesiredRevision++
	}
	return nil
}

// drain has a node give a task back. It is no user's failure and costs nothing; tasks of a node's own file stay.
func drain(t *skalds.Task) bool {
	if !t.LifecycleStatus.OnNode() || t.Executor == "" || t.Mode == skalds.ModeActive || t.Desired == skalds.DesiredGone {
		return false
	}
	t.Desired = skalds.DesiredGone
	t.DesiredRevision++
	return true
}

// nodeLost takes a task back from a node that has gone silent. Tasks of mode keep stay: they go on there; so do those of its own
// workers file, which nobody else runs.
func nodeLost(t *skalds.Task, why string, now int64) bool {
	if !movesWhenLost(t) {
		return false
	}
	takenFromNode(t, lossOf(t.Executor, why), now)
	return true
}

// movesWhenLost reports whether a task is taken from its node when that is lost.
func movesWhenLost(t *skalds.Task) bool {
	return t.LifecycleStatus.OnNode() && t.Executor != "" && t.OnDisconnect != skalds.OnDisconnectKeep && t.Mode != skalds.ModeActive
}

// lossOf explains that a node was lost.
func lossOf(node, why string) *skalds.Exit {
	return &skalds.Exit{Kind: skalds.ExitNodeLost, Code: -1, Message: "node " + node + " " + why}
}

// takenFromNode takes a task back from a lost node. Three losses within ten minutes of a start put the task in quarantine: it
// may be what kills the nodes.
func takenFromNode(t *skalds.Task, loss *skalds.Exit, now int64) {
	started := t.StartedAt
	t.LastExit, t.Exception = loss, exitLine(loss)
	toCreated(t, now)
	switch {
	case started == 0:
	case now-started > quarantineWindow.Milliseconds():
		t.NodeLosses = nil
	default:
		t.NodeLosses = append(recent(t.NodeLosses, now, quarantineLosses*quarantineWindow), now)
	}
	if len(t.NodeLosses) >= quarantineLosses && t.LifecycleStatus == skalds.Created {
		t.Quarantined = fmt.Sprintf("%d nodes were lost within %s of its start: retry releases it", len(t.NodeLosses), quarantineWindow)
	}
}

// instanceDead settles a task whose processes of an epoch are dead on a node whose host has died or fallen silent; it reports
// whether that changes anything. A task that would stay with a silent node moves too: nothing of it goes on there. One of the
// node's workers file waits for the next host of that node, which numbers its epochs. One that was to leave has left, and one
// that a user runs again is bound no more to the node where it was.
func instanceDead(t *skalds.Task, node string, epoch int64, silent bool, now int64) bool {
	switch {
	case t.Executor == "" && t.BoundTo == node && t.Mode != skalds.ModeActive && t.Epoch == epoch+1 && !t.LifecycleStatus.Final():
		t.BoundTo = ""
		return true
	case t.Executor != node || t.Epoch != epoch:
		return false
	case t.LifecycleStatus.Final():
		if t.AckedRevision == t.DesiredRevision {
			return false
		}
		t.AckedRevision = t.DesiredRevision
		return true
	case !t.LifecycleStatus.OnNode():
		return false
	}
	loss := lossOf(node, "has lost its host, and the process of the task with it")
	if silent {
		loss = lossOf(node, "has a host that does not answer: the process of the task was killed")
	}
	if t.Mode != skalds.ModeActive {
		takenFromNode(t, loss, now)
		return true
	}
	if t.LifecycleStatus == skalds.Assigning || t.PID == 0 {
		return false
	}
	t.LastExit, t.Exception = loss, exitLine(loss)
	t.PID, t.Phase, t.NextAttemptAt = 0, skalds.PhaseBackoff, 0
	return true
}

// restarted takes a task back from a node whose host came back without it.
func restarted(t *skalds.Task, now int64) {
	t.LastExit = &skalds.Exit{Kind: skalds.ExitHostRestart, Code: -1, Message: "the host on node " + t.Executor + " was restarted and does not run it any more"}
	t.Exception = exitLine(t.LastExit)
	toCreated(t, now)
}

// queueTimedOut ends a task that no node took in time.
func queueTimedOut(t *skalds.Task, why string, now int64) bool {
	limit := t.Timeouts.Queue.D()
	if t.LifecycleStatus != skalds.Created || limit <= 0 || now-t.QueuedAt < limit.Milliseconds() {
		return false
	}
	end(t, skalds.Failed, now)
	if why == "" {
		why = "it was not its turn"
	}
	t.Exception = fmt.Sprintf("queue time-out: not placed within %s: %s", limit, why)
	return true
}

// movedAway notes that a node failed a task or refused it, and what it said: others first, and after a while the nodes that
// did so again. A task that moves for another reason waits for nothing: that clears NextAttemptAt.
func movedAway(t *skalds.Task, node, why string, now int64) {
	t.AvoidNode = node
	t.Moves = append(recent(t.Moves, now, movesWindow), now)
	t.Moves = t.Moves[max(0, len(t.Moves)-maxMoves):]
	var others []skalds.Refusal
	for _, r := range t.Refusals {
		if r.Node != node && now-r.At <= movesWindow.Milliseconds() {
			others = append(others, r)
		}
	}
	t.Refusals = append(others[max(0, len(others)+1-maxRefusals):], skalds.Refusal{Node: node, At: now, Why: shortly(why)})
	d := skalds.RetryFor(t.Retry, t.IsPersistent, -1)
	wait := float64(d.InitialDelay)
	for i := 1; i < len(t.Moves) && wait < float64(d.MaxDelay); i++ {
		wait *= d.Factor
	}
	wait = min(wait, float64(d.MaxDelay))
	if len(t.Moves) >= movesAtOnce { // whatever the task asks for: it may be one that no node takes
		wait = max(wait, float64(skalds.DefaultInitialDelay))
	}
	t.NextAttemptAt = now + time.Duration(wait).Milliseconds()
}

// shortly is what a node said for a line among others.
func shortly(why string) string {
	why, _, _ = strings.Cut(strings.TrimSpace(why), "\n")
	if runes := []rune(why); len(runes) > maxWhyRunes {
		why = string(runes[:maxWhyRunes-1]) + "…"
	}
	return why
}

// requestOf is what a task asks of a node now; bound is the only one that may run it.
func requestOf(t *skalds.Task, bound string, now int64) dispatch.Request {
	r := dispatch.NewRequest(t)
	r.Bound = bound
	if t.LifecycleStatus == skalds.Created && t.AvoidNode != "" && t.NextAttemptAt > now {
		r.AvoidWholly = true
		r.Held = len(t.Moves) >= movesAtOnce
	}
	return r
}

func recent(times []int64, now int64, window time.Duration) []int64 {
	var out []int64
	for _, at := range times {
		if now-at <= window.Milliseconds() {
			out = append(out, at)
		}
	}
	return out
}

func exitLine(e *skalds.Exit) string {
	if e.Message == "" {
		return string(e.Kind)
	}
	return string(e.Kind) + ": " + e.Message
}

func ended(t *skalds.Task) string {
	switch t.LifecycleStatus {
	case skalds.Finished:
		return "finished"
	case skalds.Failed:
		return "failed"
	}
	return "been cancelled"
}
