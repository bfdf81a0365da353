package originals

import (
	"slices"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// Send is an event that is due.
type Send struct {
	Topic    string
	TaskID   string
	NodeID   string
	Epoch    int64
	Revision int64 // with TopicTaskUpdate: that which the event tells of
}

// Sends lists the events that are due. Each is due again until Sent says that the bus has it.
func (b *Bridge) Sends(now time.Time) []Send {
	var out []Send
	add := func(topic string, k *task) {
		out = append(out, Send{Topic: topic, TaskID: k.id, NodeID: k.node, Epoch: k.epoch, Revision: k.desired})
	}
	for _, k := range b.tasks {
		n := b.nodes[k.node]
		switch {
		case k.own && k.desired <= k.acked:
		case !k.own && (k.gone || k.expel || !k.settling.IsZero() && now.Sub(k.settling) > b.cfg.Leave):
			if k.shown && b.cancelDue(k.cancelledAt, n, k.id, now) {
				add(skalds.TopicTaskCancel, k)
			}
		case !k.settling.IsZero():
		case k.assign:
			add(skalds.TopicTaskAssign, k)
		case k.running && n.online && (k.desired > k.acked || !k.again.IsZero() && !now.Before(k.again)):
			add(skalds.TopicTaskUpdate, k)
		}
	}
	for id, l := range b.leavers {
		if l.expel && b.cancelDue(l.cancelledAt, b.nodes[l.node], id, now) {
			out = append(out, Send{Topic: skalds.TopicTaskCancel, TaskID: id, NodeID: l.node})
		}
	}
	slices.SortFunc(out, func(a, c Send) int { return strings.Compare(a.TaskID, c.TaskID) })
	return out
}

// cancelDue: once at least, and again as long as a living node lists it.
func (b *Bridge) cancelDue(last time.Time, n *node, id string, now time.Time) bool {
	return last.IsZero() || n.online && n.listed[id] && now.Sub(last) >= 2*b.cfg.Sync
}

// Sent notes that the bus has an event.
func (b *Bridge) Sent(s Send, now time.Time) {
	k := b.tasks[s.TaskID]
	if k == nil || k.epoch != s.Epoch {
		if l := b.leavers[s.TaskID]; l != nil && s.Topic == skalds.TopicTaskCancel {
			l.cancelledAt = now
		}
		return
	}
	switch s.Topic {
	case skalds.TopicTaskAssign:
		k.assign, k.sentAt, k.sentList = false, now, b.nodes[k.node].lists
		k.sends++
	case skalds.TopicTaskCancel:
		k.cancelledAt = now
	case skalds.TopicTaskUpdate:
		k.acked = max(k.acked, s.Revision)
		k.again = time.Time{}
		if joined := k.firstAt.Add(b.cfg.Join); now.Before(joined) {
			k.again = joined // it may not have joined the topic on which its node passes this on
		}
	}
}
