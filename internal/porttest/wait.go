package porttest

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long something that should happen at once may take on a busy machine.
const patience = 30 * time.Second

// eventually polls until ok says true, and fails the test when it does not for long.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not seen within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

// receive takes the next value of a channel, and fails the test where none comes.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("not received within %v: %s", patience, what)
		panic("unreachable")
	}
}

// Names are unique, because real servers keep what earlier runs have left.
type names struct {
	prefix string
	n      atomic.Int64
}

func newNames(t testing.TB) *names {
	return &names{prefix: fmt.Sprintf("%s-%s", "t", strconv.FormatInt(time.Now().UnixNano(), 36))}
}

func (n *names) next(kind string) string {
	return fmt.Sprintf("%s-%s-%d", kind, n.prefix, n.n.Add(1))
}

func contextWithCancel(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}
