package controller

import (
	"sync"

	"github.com/skalds-go/skalds"
)

// helloQueue knows which hellos wait to be answered. It is safe for concurrent use.
type helloQueue struct {
	mu     sync.Mutex
	newest map[speaker]int64 // the number of the newest, by its first part
}

// speaker is a node in one incarnation: two hosts that use one id replace no word of each other.
type speaker struct {
	node        string
	incarnation int64
}

func newHelloQueue() *helloQueue { return &helloQueue{newest: map[speaker]int64{}} }

// comes notes a message that has come.
func (q *helloQueue) comes(m skalds.HostMessage) {
	if m.Hello == nil || m.Hello.Part > 1 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	by := speaker{m.NodeID, m.Incarnation}
	q.newest[by] = max(q.newest[by], m.Hello.Number)
}

// isReplaced reports whether a hello whose turn it is need not be answered, because one of the same speaker that was said later waits.
func (q *helloQueue) isReplaced(m skalds.HostMessage) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	by := speaker{m.NodeID, m.Incarnation}
	if q.newest[by] > m.Hello.Number {
		return true
	}
	delete(q.newest, by)
	return false
}
