package originals

import (
	"slices"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// Kind is what is concluded about a task.
type Kind int

// The conclusions.
const (
	Runs       Kind = iota + 1 // its first heartbeat has come
	Finished                   // it says that it is done
	Failed                     // it says that it has failed; Text says how
	Stopped                    // it was told to stop, and not by us: its node was stopped
	Drained                    // it has left, as it was to
	Silent                     // its node lists it, and its heartbeats have stopped: its process has died or hangs
	NeverBegan                 // its node lists it, and no heartbeat has ever come
	NotTaken                   // its node does not show it, however often it was assigned
	Vanished                   // it has left without a last word; Text is empty
	NodeLost                   // its node is lost, and its own heartbeat has expired
	Free                       // nothing of its former run is left: it can be handed out again
	Stranger                   // its node lists it, and nobody knows why
)

// Action is a conclusion, to be brought into the store. It is drawn again with each reading until the store has it.
type Action struct {
	Kind   Kind
	TaskID string
	NodeID string
	Epoch  int64
	Text   string
	// Left: nothing of it is on its node any more, so that it can be handed out again at once.
	Left bool
	// Revision is, with Runs, the desired revision that the node has read when it began.
	Revision int64
}

// Asked names a task whose keys are to be read, in the version that it has now.
type Asked struct {
	TaskID string
	Epoch  int64
}

// Ask lists the tasks whose keys are to be read for Judge.
func (b *Bridge) Ask() []Asked {
	out := make([]Asked, 0, len(b.tasks)+len(b.leavers))
	for id, k := range b.tasks {
		out = append(out, Asked{id, k.epoch})
	}
	for id := range b.leavers {
		out = append(out, Asked{TaskID: id})
	}
	return out
}

// Judge concludes from what was read of the tasks that were asked for, after a reading of the nodes (Hear).
func (b *Bridge) Judge(asked []Asked, read map[string]skalds.OriginalTask, now time.Time) []Action {
	var out []Action
	for _, a := range asked {
		s := read[a.TaskID]
		if k := b.tasks[a.TaskID]; k != nil && k.epoch == a.Epoch {
			if act, ok := b.judge(k, s, now); ok {
				act.TaskID, act.NodeID, act.Epoch = k.id, k.node, k.epoch
				act.Left = b.left(k, s)
				out = append(out, act)
			}
			k.free = b.left(k, s)
		}
		if l := b.leavers[a.TaskID]; l != nil && b.hasLeft(a.TaskID, l, s, now) {
			delete(b.leavers, a.TaskID)
		}
	}
	out = append(out, b.strangers(now)...)
	slices.SortFunc(out, func(a, c Action) int { return strings.Compare(a.TaskID, c.TaskID) })
	return out
}

// judge looks at one task.
func (b *Bridge) judge(k *task, s skalds.OriginalTask, now time.Time) (Action, bool) {
	n := b.nodes[k.node]
	k.see(n, s, now)
	if !k.settling.IsZero() {
		return Action{Kind: Free}, b.left(k, s) || b.overdue(k, s, now)
	}
	if end := s.End(); end != "" && !(k.own && end == skalds.Cancelled) {
		return b.ended(k, s, end, now)
	}
	k.stopAt = time.Time{}
	if s.Beating() {
		return Action{Kind: Runs, Revision: k.base}, !k.running
	}
	switch {
	case k.own:
		return Action{}, false
	case n.online && n.listed[k.id]:
		return b.listedOnly(k, now)
	case n.lost:
		return Action{Kind: NodeLost, Text: s.Exception}, true
	case !n.online || k.lastAt.IsZero():
		return Action{}, false
	case !k.shown:
		return b.notShown(k, n, now)
	}
	return b.vanished(k, n, s, now)
}

// see notes what shows a task.
func (k *task) see(n *node, s skalds.OriginalTask, now time.Time) {
	listed, beating := n.online && n.listed[k.id], s.Beating()
	if beating {
		k.beatAt = lastBeat(s.Left, now)
		if k.firstAt.IsZero() {
			k.firstAt = now
		}
	}
	if listed && k.listedAt.IsZero() {
		k.listedAt = now
	}
	if listed || beating || s.End() != "" && k.origin == Handed {
		k.shown, k.assign = true, false
	}
	switch {
	case listed || beating:
		k.lastAt, k.seenList = time.Time{}, n.lists
	case k.lastAt.IsZero():
		k.lastAt, k.lastList = now, n.lists
	}
	if s.End() != "" && !k.ended {
		k.ended, k.seenList = true, n.lists // its node may have started it after the newest list
	}
}

// ended looks at a last word. One of a task that was not handed out by this controller may be that of a former run: it counts
// when it stays.
func (b *Bridge) ended(k *task, s skalds.OriginalTask, end skalds.State, now time.Time) (Action, bool) {
	if k.origin != Handed && k.firstAt.IsZero() && now.Sub(k.heldAt) < 2*b.cfg.Sync {
		return Action{}, false
	}
	switch end {
	case skalds.Finished:
		return Action{Kind: Finished}, true
	case skalds.Failed:
		return Action{Kind: Failed, Text: s.Exception}, true
	}
	if k.gone {
		return Action{Kind: Drained}, true
	}
	// Whoever wants it cancelled says so on the bus too, and is heard first: then the store does not call it this node's.
	if k.stopAt.IsZero() {
		k.stopAt = now
	}
	return Action{Kind: Stopped}, now.Sub(k.stopAt) >= 2*b.cfg.Sync
}

// listedOnly looks at a task that its node lists and that does not beat.
func (b *Bridge) listedOnly(k *task, now time.Time) (Action, bool) {
	switch {
	case k.beatAt.IsZero() && now.Sub(k.listedAt) > b.cfg.Start:
		k.expel = true
		return Action{Kind: NeverBegan}, true
	case !k.beatAt.IsZero() && now.Sub(k.beatAt) > b.cfg.Lease:
		k.expel = true
		return Action{Kind: Silent}, true
	}
	return Action{}, false
}

// notShown looks at a task of which nothing was ever seen, on a node that lives.
func (b *Bridge) notShown(k *task, n *node, now time.Time) (Action, bool) {
	switch {
	case k.assign, now.Sub(k.sentAt) < 2*b.cfg.Sync, n.lists < k.sentList+2:
		return Action{}, false
	case k.gone:
		return Action{Kind: Drained}, true
	case k.sends >= b.cfg.Tries:
		k.expel = true // should it begin after all
		return Action{Kind: NotTaken}, true
	}
	k.assign = true
	return Action{}, false
}

// vanished looks at a task that was there and is not.
func (b *Bridge) vanished(k *task, n *node, s skalds.OriginalTask, now time.Time) (Action, bool) {
	if now.Sub(k.lastAt) < 2*b.cfg.Sync || n.lists < k.lastList+2 {
		return Action{}, false
	}
	switch {
	case k.gone:
		return Action{Kind: Drained}, true
	case s.Exception != "": // it has said why, and its last heartbeat was overwritten
		return Action{Kind: Failed, Text: s.Exception}, true
	}
	return Action{Kind: Vanished}, true
}

// left reports whether nothing of a task is on its node any more.
func (b *Bridge) left(k *task, s skalds.OriginalTask) bool {
	n := b.nodes[k.node]
	return !s.Beating() && (n.lost || n.online && !n.listed[k.id] && n.lists > k.seenList)
}

// overdue reports whether a task that does not beat has been waited for long enough: its node cannot get rid of it.
func (b *Bridge) overdue(k *task, s skalds.OriginalTask, now time.Time) bool {
	return !s.Beating() && now.Sub(k.settling) > 2*b.cfg.Leave
}

// hasLeft reports whether a process is gone that is nobody's any more.
func (b *Bridge) hasLeft(id string, l *leaver, s skalds.OriginalTask, now time.Time) bool {
	n := b.nodes[l.node]
	l.beats = s.Beating()
	l.free = l.free && !l.beats && !n.listed[id]
	switch {
	case l.beats:
		return false
	case n.lost:
		return true
	case !n.online:
		return false
	case n.listed[id]:
		if now.Sub(l.since) > b.cfg.Leave {
			l.expel = true
		}
		return false
	}
	return n.lists >= l.list+2
}

// strangers lists what nodes list and nobody knows of, when it has been there for a while.
func (b *Bridge) strangers(now time.Time) []Action {
	var out []Action
	for _, n := range b.nodes {
		if !n.online || n.mode != skalds.NodeModeNode {
			continue
		}
		for id := range n.listed {
			k, l := b.tasks[id], b.leavers[id]
			if k != nil && k.node == n.id || l != nil && l.node == n.id {
				delete(n.strangers, id)
				continue
			}
			since, ok := n.strangers[id]
			switch {
			case !ok:
				n.strangers[id] = now
			case now.Sub(since) >= 2*b.cfg.Sync:
				n.strangers[id] = now
				out = append(out, Action{Kind: Stranger, TaskID: id, NodeID: n.id})
			}
		}
	}
	return out
}
