package controller

import (
	"sync"

	"github.com/skalds-go/skalds"
)

// helloQueue knows which hellos wait to be answered. It is safe for concurrent use.
type helloQueue struct {
	mu     sync.Mutex
	newest map[string]skalds.HostMessage // the newest of each node, by its first part
}

func newHelloQueue() *helloQueue { return &helloQueue{newest: map[string]skalds.HostMessage{}} }

// comes notes a message that has come.
func (q *helloQueue) comes(m skalds.HostMessage) {
	if m.Hello == nil || m.Hello.Part > 1 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if was, waits := q.newest[m.NodeID]; !waits || isNewerHello(m, was) {
		q.newest[m.NodeID] = skalds.HostMessage{Incarnation: m.Incarnation, Hello: &skalds.Hello{Number: m.Hello.Number}}
	}
}

// isReplaced reports whether a hello whose turn it is need not be answered, because one of the same node that was said later waits.
func (q *helloQueue) isReplaced(m skalds.HostMessage) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	was, waits := q.newest[m.NodeID]
	if waits && isNewerHello(was, m) {
		return true
	}
	delete(q.newest, m.NodeID)
	return false
}

func isNewerHello(a, b skalds.HostMessage) bool {
	return a.Incarnation > b.Incarnation || a.Incarnation == b.Incarnation && a.Hello.Number > b.Hello.Number
}
