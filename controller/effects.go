package controller

import (
	"encoding/json"
	"fmt"

	"github.com/skalds-go/skalds"
)

// effects is what follows from a stored change.
type effects struct {
	Command bool   // the node must hear of the desired state
	Node    string // which node
	Hold    bool   // the task takes from its node, or more than before
	Release bool   // it does not any more: there is room
	Queue   bool   // it waits for a node
	Unqueue bool   // it does not any more
	Publish bool   // readers of events shall know
}

// effectsOf reads from the difference of two stored versions what must happen; before is nil for a new task.
func effectsOf(before, after *skalds.Task) effects {
	if before == nil {
		before = &skalds.Task{}
	}
	holds := func(t *skalds.Task) bool { return t.Executor != "" && t.LifecycleStatus.OnNode() }
	waits := func(t *skalds.Task) bool { return t.LifecycleStatus == skalds.Created && t.Quarantined == "" }
	e := effects{
		Node:    after.Executor,
		Command: after.Executor != "" && after.AckedRevision < after.DesiredRevision && (after.DesiredRevision != before.DesiredRevision || after.Epoch != before.Epoch),
		Hold:    holds(after) && (!holds(before) || before.Executor != after.Executor || before.MemoryLimit != after.MemoryLimit),
		Release: holds(before) && !holds(after),
		Queue:   waits(after),
		Unqueue: waits(before) && !waits(after),
	}
	e.Publish = before.LifecycleStatus != after.LifecycleStatus || before.Phase != after.Phase || before.Executor != after.Executor ||
		before.Epoch != after.Epoch || before.Attempt != after.Attempt || before.Desired != after.Desired ||
		before.Error != after.Error || before.Exception != after.Exception || before.Quarantined != after.Quarantined ||
		string(before.Attachments) != string(after.Attachments) || string(before.Result) != string(after.Result) || len(before.Stages) != len(after.Stages) ||
		after.LifecycleStatus.Final() && before.Progress != after.Progress
	return e
}

// commandFor is the whole desired state of a task for its node.
func commandFor(t *skalds.Task, generation int64) skalds.Command {
	c := skalds.Command{
		TaskID: t.ID, Generation: generation, Epoch: t.Epoch, DesiredRevision: t.DesiredRevision, Desired: t.Desired,
		BudgetUsed: t.BudgetUsed, MemoryFailures: t.MemoryFailures, MemoryLimit: t.MemoryLimit,
	}
	if t.Desired == skalds.DesiredGone || t.LifecycleStatus.Final() {
		c.Desired, c.Reason, c.Why = skalds.DesiredGone, string(skalds.ExitCancelled), "the task was cancelled"
		if !t.LifecycleStatus.Final() {
			c.Reason, c.Why = string(skalds.ExitDrain), "its node is drained"
		}
		return c
	}
	spec := t.Spec
	c.Spec, c.Stages = &spec, t.Stages
	if len(c.Stages) > 0 && !fits(&c) {
		c.Stages = nil // they are run again: a command that does not arrive is worse
	}
	return c
}

// maxCommandBytes leaves room for the envelope of a bus message.
const maxCommandBytes = skalds.MaxBusMessageBytes - 4<<10

func fits(c *skalds.Command) bool {
	b, err := json.Marshal(c)
	return err == nil && len(b) <= maxCommandBytes
}

// goneCommand ends what a node runs of a task and should not. It outranks what the node knows.
func goneCommand(taskID string, generation int64, mark skalds.TaskMark, t *skalds.Task, reason skalds.ExitKind) skalds.Command {
	c := skalds.Command{
		TaskID: taskID, Generation: generation, Epoch: mark.Epoch, DesiredRevision: mark.DesiredRevision + 1,
		Desired: skalds.DesiredGone, Reason: string(reason), Why: goneWhy(mark, t, reason),
	}
	if t != nil && t.Epoch > c.Epoch {
		c.Epoch, c.DesiredRevision = t.Epoch, 0
	}
	if t != nil && t.Epoch == c.Epoch {
		c.DesiredRevision = max(c.DesiredRevision, t.DesiredRevision)
	}
	return c
}

func changeOf(t *skalds.Task, now int64) skalds.Change {
	return skalds.Change{
		Type: skalds.ChangeTask, TaskID: t.ID, ClassName: t.ClassName, State: t.LifecycleStatus, Phase: t.Phase, Executor: t.Executor,
		Epoch: t.Epoch, Attempt: t.Attempt, Revision: t.Revision, Error: t.Error, Exception: t.Exception, At: now,
	}
}

// goneWhy says in words why a node shall end what it runs of a task.
func goneWhy(mark skalds.TaskMark, t *skalds.Task, reason skalds.ExitKind) string {
	switch {
	case t == nil:
		return "the controllers do not know the task: it was removed, or the store was set back"
	case reason == skalds.ExitHostRestart: // t is of before it was taken back
		return "the task was taken back: its host started anew, or has lost it"
	case t.LifecycleStatus == skalds.Cancelled:
		return "the task was cancelled"
	case t.LifecycleStatus.Final():
		return fmt.Sprintf("the task has %s under another assignment (epoch %d, this one was %d)", ended(t), t.Epoch, mark.Epoch)
	case t.LastExit != nil && t.LastExit.Kind == skalds.ExitNodeLost && t.Epoch > mark.Epoch:
		return "the task was taken back: " + t.LastExit.Message
	case t.Executor != "":
		return fmt.Sprintf("the task belongs to node %s now (epoch %d, this one was %d)", t.Executor, t.Epoch, mark.Epoch)
	}
	return fmt.Sprintf("the task was taken back and waits for a node (epoch %d, this one was %d)", t.Epoch, mark.Epoch)
}
