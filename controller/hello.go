package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/skalds-go/skalds"
)

// helloAnswerBytes bounds the commands of one part of an answer.
const helloAnswerBytes = skalds.MaxBusMessageBytes - 8<<10

// hello answers a host that starts or reconnects, and settles what it does and does not run.
func (d *desk) hello(ctx context.Context, from origin, h skalds.Hello) error {
	generation := d.tasks.picture.generation.Load() // as every command says it
	commands, epochs, err := d.settle(ctx, from, &h, generation)
	if err != nil {
		return fmt.Errorf("answer the hello of node %s: %w", from.node, err)
	}
	if err := d.record(ctx, from, &h); err != nil { // after settling, which asks whether this incarnation is a new one
		return fmt.Errorf("answer the hello of node %s: %w", from.node, err)
	}
	d.past.settle(from.node)
	unmeasured := d.cluster.greet(from.node, from.incarnation, d.tasks.clock.Now())
	for _, a := range answerParts(from.incarnation, h.Number, generation, commands, epochs) {
		d.outbox.send(from.node, skalds.NodeMessage{Answer: &a})
	}
	d.log.Info("node says hello", "node_id", from.node, "incarnation", from.incarnation, "tasks", len(h.Tasks), "workers", len(h.Workers), "commands", len(commands))
	d.tasks.publishNode(from.node, skalds.NodeOnline)
	if unmeasured {
		d.watch.lookNow() // its first heartbeat says what it has: no task is placed before
	}
	d.watch.greeted() // others may be asked now
	d.tasks.dispatcher.freed()
	return nil
}

// record stores the node of a host that has said hello, and its workers, as far as they have changed.
func (d *desk) record(ctx context.Context, from origin, h *skalds.Hello) error {
	now := d.tasks.now()
	workers := lastOfEach(h.Workers)
	change := func(n *skalds.Node) {
		n.ID, n.Mode, n.Incarnation, n.Partition = from.node, h.Mode, from.incarnation, h.Partition
		n.LastHelloAt, n.LostAt, n.LostBy, n.LeftAt = now, 0, "", 0
		n.Workers, n.Original, n.Classes = nil, false, nil
		for i := range workers {
			n.Workers = append(n.Workers, workers[i].Ref()+"@"+workers[i].Digest)
		}
	}
	if !d.cluster.saidHello(from.node, change) {
		if _, err := d.tasks.picture.saveNode(ctx, d.store, from.node, change); err != nil {
			return err
		}
	}
	if d.cluster.hasWorkers(from.node, workers) {
		return nil
	}
	return d.cluster.storing(ctx, from.node, func() error {
		if err := d.store.SaveWorkers(ctx, from.node, workers); err != nil {
			return err
		}
		d.cluster.setWorkers(from.node, workers)
		return nil
	})
}

// step is what a hello means for one task.
type step int

const (
	stepNothing step = iota
	stepCommand      // the node is told the desired state
	stepGone         // the node shall end what it runs
	stepRestart      // the task is taken back: its former process is gone
	stepAdopt        // the store was set back: it takes over the epoch under which the node runs the task
	stepOutrank      // the same, and the node shall end it: what is handed out later must count for more
)

// helloStep decides for one task that is the node's by the store (t), by the hello (m), or both. same says that this
// incarnation of the host has said hello before: what it does not run then is on its way, and the command settles it.
// Pure.
func helloStep(node string, same bool, t *skalds.Task, m *skalds.TaskMark) step {
	active := m != nil && m.Mode == skalds.ModeActive || t != nil && t.Mode == skalds.ModeActive
	ours := t != nil && t.Executor == node && t.LifecycleStatus.OnNode()
	switch {
	case active: // the entry of its file settles the rest
		if ours && m != nil && m.Epoch == t.Epoch || t != nil && t.Executor == node && t.LifecycleStatus == skalds.Assigning {
			return stepCommand
		}
		if m != nil && m.Running && t != nil && t.Executor == node && t.LifecycleStatus == skalds.Cancelled && m.Epoch == t.Epoch {
			return stepGone
		}
		return stepNothing
	case m == nil:
		if !ours {
			return stepNothing
		}
		if same || t.LifecycleStatus == skalds.Assigning { // the command was not read: it is safe to give it again
			return stepCommand
		}
		return stepRestart
	case !ours || m.Epoch < t.Epoch && m.Running:
		if t != nil && m.Epoch > t.Epoch {
			return stepOutrank
		}
		if ours { // the newer assignment replaces what runs
			return stepCommand
		}
		return stepGone
	case m.Epoch < t.Epoch:
		if same || t.LifecycleStatus == skalds.Assigning {
			return stepCommand
		}
		return stepRestart
	case m.Epoch > t.Epoch && m.Running:
		return stepAdopt
	case m.Epoch > t.Epoch:
		return stepRestart
	case same || m.Running || m.State.Final(): // in the last case its last report comes before the hello
		return stepCommand
	default: // a former incarnation had it, and it did not end
		return stepRestart
	}
}

// settle goes through everything that the node has by the hello or by the store.
func (d *desk) settle(ctx context.Context, from origin, h *skalds.Hello, generation int64) (commands []skalds.Command, epochs map[string]int64, err error) {
	entries := d.cluster.entries(from.node)
	mine, err := d.store.OnNode(ctx, from.node)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range mine {
		delete(entries, t.ID)
	}
	d.cluster.releaseEntries(entries) // of changes that were stored though the store said otherwise
	same := d.cluster.nodeRecord(from.node).Incarnation == from.incarnation && !d.past.isUnsettled(from.node)
	tasks := map[string]*skalds.Task{}
	for _, t := range mine {
		tasks[t.ID] = t
	}
	marks := map[string]*skalds.TaskMark{}
	for i := range h.Tasks {
		m := &h.Tasks[i]
		marks[m.TaskID] = m
		if tasks[m.TaskID] != nil {
			continue
		}
		t, err := d.store.Task(ctx, m.TaskID)
		if err != nil && !errors.Is(err, skalds.ErrNotFound) {
			return nil, nil, err
		}
		if err == nil {
			tasks[m.TaskID] = t
		}
	}
	if epochs, err = d.epochs(ctx, from.node, tasks); err != nil {
		return nil, nil, err
	}
	for id := range marks {
		if tasks[id] != nil {
			continue
		}
		if m := marks[id]; helloStep(from.node, same, nil, m) == stepGone {
			commands = append(commands, goneCommand(id, generation, *m, nil, skalds.ExitSuperseded))
		}
	}
	var moved []string
	defer func() { logTakenBack(d.log, from.node, moved, "its host started anew, or has lost them") }()
	for id, t := range tasks {
		m := marks[id]
		switch helloStep(from.node, same, t, m) {
		case stepCommand:
			commands = append(commands, commandFor(t, generation))
		case stepAdopt, stepOutrank:
			step := helloStep(from.node, same, t, m)
			if t, err = d.raise(ctx, from, t, m.Epoch, step == stepAdopt); err != nil {
				return nil, nil, err
			}
			if t != nil && step == stepAdopt {
				commands = append(commands, commandFor(t, generation))
				epochs[id] = t.Epoch
				continue
			}
			commands = append(commands, goneCommand(id, generation, *m, t, goneReason(t)))
		case stepGone:
			commands = append(commands, goneCommand(id, generation, *m, t, goneReason(t)))
		case stepRestart:
			above := t.Epoch
			if m != nil {
				above = max(above, m.Epoch)
			}
			took, err := d.takeBack(ctx, from, t, above+d.past.margin())
			if err != nil {
				return nil, nil, err
			}
			if took {
				moved = append(moved, id)
			}
			if m != nil {
				commands = append(commands, goneCommand(id, generation, *m, t, skalds.ExitHostRestart))
			}
		}
	}
	return commands, epochs, nil
}

// raise gives a task the epoch that a node has of it, where the store has forgotten that it was given: adopt, if the node goes on with
// it. It returns the task as it is then, nil where it is not there any more.
func (d *desk) raise(ctx context.Context, from origin, seen *skalds.Task, epoch int64, adopt bool) (*skalds.Task, error) {
	t, err := d.tasks.change(ctx, seen.ID, func(t *skalds.Task, _ int64) error {
		if t.Epoch >= epoch || adopt && (t.Executor != from.node || !t.LifecycleStatus.OnNode()) {
			return errNoChange
		}
		if !adopt && t.LifecycleStatus.OnNode() {
			return errNoChange // its own node says what its epoch is
		}
		t.Epoch = epoch
		return nil
	})
	if errors.Is(err, skalds.ErrNotFound) {
		return nil, nil
	}
	return t, err
}

// takeBack gives a task a new epoch, above the one named, whose process went with a former incarnation of its host, and writes down
// how it ended. It reports whether it did.
func (d *desk) takeBack(ctx context.Context, from origin, seen *skalds.Task, above int64) (took bool, err error) {
	var lost *skalds.Task
	t, err := d.tasks.change(ctx, seen.ID, func(t *skalds.Task, now int64) error {
		if t.Executor != from.node || t.Epoch != seen.Epoch || !t.LifecycleStatus.OnNode() {
			return errNoChange
		}
		lost = t.Clone()
		t.Epoch = above
		restarted(t, now)
		return nil
	})
	if err != nil {
		if errors.Is(err, skalds.ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	if lost != nil {
		d.tasks.recordLoss(ctx, lost, t.LastExit)
	}
	return lost != nil, nil
}

// epochs is the store's highest epoch of every task that the node owns or names.
func (d *desk) epochs(ctx context.Context, node string, tasks map[string]*skalds.Task) (map[string]int64, error) {
	out := map[string]int64{}
	for id, t := range tasks {
		out[id] = t.Epoch
	}
	for cursor, first := "", true; first || cursor != ""; first = false {
		page, err := d.store.Tasks(ctx, TaskFilter{Executor: node, Mode: skalds.ModeActive, Cursor: cursor, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, t := range page.Items {
			out[t.ID] = t.Epoch
		}
		cursor = page.Next
	}
	return out, nil
}

// answerParts splits an answer so that every part fits into a message.
func answerParts(incarnation, number, generation int64, commands []skalds.Command, epochs map[string]int64) []skalds.HelloAnswer {
	base := skalds.HelloAnswer{Incarnation: incarnation, Number: number, Generation: generation}
	parts := []skalds.HelloAnswer{base}
	room := helloAnswerBytes
	part := func(size int) *skalds.HelloAnswer {
		if size > room && room < helloAnswerBytes {
			parts = append(parts, base)
			room = helloAnswerBytes
		}
		room -= size
		return &parts[len(parts)-1]
	}
	for id, epoch := range epochs { // first: an edge host numbers above them
		p := part(2*len(id) + 32)
		if p.Epochs == nil {
			p.Epochs = map[string]int64{}
		}
		p.Epochs[id] = epoch
	}
	for i := range commands {
		size := 1024
		if b, err := json.Marshal(&commands[i]); err == nil {
			size = len(b) + 1
		}
		p := part(size)
		p.Commands = append(p.Commands, commands[i])
	}
	for i := range parts {
		parts[i].Part, parts[i].Parts = i+1, len(parts)
	}
	return parts
}
