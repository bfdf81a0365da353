package controller

import (
	"testing"

	"github.com/skalds-go/skalds"
)

// TestOnlyTheLastHelloIsAnswered: of the hellos of a node that wait, those that a later one follows are left out.
func TestOnlyTheLastHelloIsAnswered(t *testing.T) {
	hello := func(node string, incarnation, number int64, part int) skalds.HostMessage {
		return skalds.HostMessage{NodeID: node, Incarnation: incarnation, Hello: &skalds.Hello{Number: number, Part: part, Parts: 2}}
	}
	q := newHelloQueue()
	waiting := []struct {
		skalds.HostMessage
		replaced bool
	}{
		{hello("a", 1, 1, 1), true},
		{hello("a", 1, 1, 2), true},
		{hello("b", 1, 1, 1), false},
		{hello("a", 1, 2, 1), false}, // a later incarnation may be another host under the same id
		{hello("a", 2, 1, 1), false},
		{hello("a", 2, 1, 2), false},
		{hello("b", 1, 1, 2), false},
		{hello("a", 1, 3, 1), false}, // nothing later waits, whatever has been answered
	}
	for _, m := range waiting[:7] {
		q.comes(m.HostMessage)
	}
	for i, m := range waiting {
		if got := q.isReplaced(m.HostMessage); got != m.replaced {
			t.Errorf("message %d: replaced %v, want %v", i, got, m.replaced)
		}
	}
	if len(q.newest) != 0 {
		t.Errorf("%d hellos are remembered when none waits", len(q.newest))
	}
}
