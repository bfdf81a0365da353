package controller

import (
	"context"
	"errors"
	"time"

	"github.com/skalds-go/skalds"
)

// maxUnacked bounds how many commands without an answer are gone through.
const maxUnacked = 10_000

// evictTimeout bounds the moving of all tasks of a node.
const evictTimeout = time.Minute

// heardLately is how long after its last heartbeat a node counts as alive for those who want to declare it lost.
const heardLately = 2500 * time.Millisecond

// Loss is what became of a node that somebody has declared lost.
type Loss struct {
	Node NodeView
	// MayRunUntil is when the lease of a host that is only cut off ends, ms since epoch: until then it may still run what has moved,
	// though nothing that it reports of that is accepted. 0: it is over, or it was said that the machine is off.
	MayRunUntil int64
	Moved       []string // tasks that were taken back, to be handed out anew
	Kept        []string // tasks that stay, because they are to go on with a silent node
}

// DeclareLost takes the tasks of a silent node back at once, before its lease is over or while controllers are blind. A node that
// is heard is refused: it is alive, and to be drained. What is to stay with a silent node (onDisconnect: keep) stays, unless
// machineOff says that nothing can run there any more; tasks of its own workers file stay always. It can be repeated.
func (s *NodeService) DeclareLost(ctx context.Context, id string, machineOff bool, who string) (Loss, error) {
	now := s.tasks.clock.Now()
	v, ok := s.cluster.view(id)
	switch {
	case !ok:
		return Loss{}, unknownNode(id)
	case v.Online && now.UnixMilli()-v.SeenAt < heardLately.Milliseconds():
		return Loss{}, skalds.Errorf(skalds.CodeConflict, "node %s is alive: its last heartbeat came %s ago; drain it, or stop its host", id, now.Sub(time.UnixMilli(v.SeenAt)).Round(time.Millisecond))
	}
	lostAt := now.UnixMilli()
	action := "declare lost"
	if machineOff {
		action = "declare lost, machine off"
	}
	err := s.amend(ctx, id, &AuditEntry{Who: who, Action: action}, func(n *skalds.Node) {
		if n.LostAt == 0 {
			n.LostAt = lostAt
		}
		n.LostBy = who
	})
	if err != nil {
		return Loss{}, err
	}
	s.cluster.silent(id, s.cluster.nodeRecord(id).LostAt)
	s.tasks.publishNode(id, skalds.NodeOffline)
	out := Loss{}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), evictTimeout)
	defer cancel()
	why := "was declared lost by " + who
	all, lost := s.tasks.takeBack(ctx, []string{id}, func(t *skalds.Task, now int64) bool {
		if s.cluster.isHeard(id) {
			return false // it has come back
		}
		return nodeLost(t, why, now) || machineOff && instanceDead(t, id, t.Epoch, false, now)
	})
	s.tasks.recordLosses(ctx, lost)
	got := all[id]
	got.tell(s.tasks.log, id, why)
	out.Moved, out.Kept = got.moved, got.kept
	if err = got.err; err == nil && machineOff {
		err = s.unbind(ctx, id)
	}
	if err != nil {
		return Loss{}, err
	}
	if end := v.SeenAt + s.cluster.lease().Milliseconds(); !machineOff && v.SeenAt > 0 && end > s.tasks.now() && len(out.Moved) > 0 {
		out.MayRunUntil = end
	}
	out.Node, err = s.Node(ctx, id)
	return out, err
}

// unbind frees what waits for a node whose machine is off: tasks that users run again, and those that have ended and whose node has
// not said yet that it has let go of them.
func (s *NodeService) unbind(ctx context.Context, id string) error {
	var waiting []*skalds.Task
	f := TaskFilter{States: []skalds.State{skalds.Created, skalds.Paused}, Limit: loadPage}
	for {
		page, err := s.store.Tasks(ctx, f)
		if err != nil {
			return err
		}
		for _, t := range page.Items {
			if t.BoundTo == id && t.Executor == "" {
				waiting = append(waiting, t)
			}
		}
		if f.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	open, err := s.store.Unacked(ctx, maxUnacked)
	if err != nil {
		return err
	}
	for _, t := range open {
		if t.Executor == id && t.LifecycleStatus.Final() {
			waiting = append(waiting, t)
		}
	}
	var errs []error
	for _, seen := range waiting {
		_, err := s.tasks.change(ctx, seen.ID, func(t *skalds.Task, now int64) error {
			epoch := t.Epoch
			if t.Executor == "" {
				epoch-- // that of the process that it waits for
			}
			if t.Epoch != seen.Epoch || t.Mode == skalds.ModeActive || t.LifecycleStatus.OnNode() && t.Executor != "" || !instanceDead(t, id, epoch, false, now) {
				return errNoChange
			}
			return nil
		})
		if !errors.Is(err, skalds.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
