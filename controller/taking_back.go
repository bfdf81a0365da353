package controller

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/skalds-go/skalds"
)

// takers is how many tasks are taken back side by side: a rack of nodes may be lost at once.
const takers = 16

// takingBack takes tasks back from nodes that are lost together.
type takingBack struct {
	tasks *TaskService
	take  func(t *skalds.Task, now int64) bool

	mu    sync.Mutex // guards all below
	nodes map[string]taken
	list  []*skalds.Task // of all nodes
	lost  []*skalds.Outcome
	away  error // the store does not answer
}

// taken is what became of the tasks of one node.
type taken struct {
	moved, kept []string // by id
	err         error
}

// takeBack has take decide on every task of the nodes, many side by side. What was lost is still to be written down (recordLosses):
// tasks wait to run elsewhere, records do not. A task that is not there any more, or whose epoch is over, is left alone. Where the
// store does not answer, what is left is not tried. take is called concurrently.
func (s *TaskService) takeBack(ctx context.Context, nodes []string, take func(t *skalds.Task, now int64) bool) (map[string]taken, []*skalds.Outcome) {
	b := &takingBack{tasks: s, take: take, nodes: map[string]taken{}}
	sideBySide(takers, nodes, func(id string) { b.look(ctx, id) })
	sideBySide(takers, b.list, func(t *skalds.Task) { b.one(ctx, t) })
	for id, n := range b.nodes {
		slices.Sort(n.moved)
		slices.Sort(n.kept)
		b.nodes[id] = n
	}
	return b.nodes, b.lost
}

// recordLosses writes down how attempts ended that were lost with their nodes.
func (s *TaskService) recordLosses(ctx context.Context, lost []*skalds.Outcome) {
	sideBySide(takers, lost, func(o *skalds.Outcome) { s.putLoss(ctx, o) })
}

// look lists the tasks of a node.
func (b *takingBack) look(ctx context.Context, node string) {
	var tasks []*skalds.Task
	err := b.over(ctx)
	if err == nil {
		tasks, err = b.tasks.store.OnNode(ctx, node)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed(node, err)
	b.list = append(b.list, tasks...)
}

// one takes one task back.
func (b *takingBack) one(ctx context.Context, seen *skalds.Task) {
	node := seen.Executor
	var before, t *skalds.Task
	err := b.over(ctx)
	if err == nil {
		t, err = b.tasks.change(ctx, seen.ID, func(t *skalds.Task, now int64) error {
			before = t.Clone()
			if t.Executor != node || t.Epoch != seen.Epoch || !b.take(t, now) {
				return errNoChange
			}
			return nil
		})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(err, skalds.ErrNotFound) {
		return
	}
	if b.failed(node, err) {
		return
	}
	n := b.nodes[node]
	switch {
	case t.Epoch != before.Epoch:
		n.moved = append(n.moved, t.ID)
		if o := b.tasks.lossRecord(before, t.LastExit); o != nil { // now: what its node has last shown is soon forgotten
			b.lost = append(b.lost, o)
		}
		if t.Quarantined != "" {
			b.tasks.log.Error("task is in quarantine", "task_id", t.ID, "reason", t.Quarantined)
		}
	case t.Executor == node && t.LifecycleStatus.OnNode():
		n.kept = append(n.kept, t.ID)
	}
	b.nodes[node] = n
}

// over says why nothing more is tried; nil: it is.
func (b *takingBack) over(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return cmp.Or(b.away, context.Cause(ctx))
}

// failed notes a failure; it is false where there was none. The mutex is held.
func (b *takingBack) failed(node string, err error) bool {
	if err == nil {
		return false
	}
	if isAway(err) {
		b.away = cmp.Or(b.away, err)
	}
	if n := b.nodes[node]; !errors.Is(n.err, err) { // once, however many tasks it kept from being tried
		n.err = errors.Join(n.err, err)
		b.nodes[node] = n
	}
	return true
}
