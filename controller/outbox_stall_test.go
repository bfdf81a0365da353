package controller

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// stallingBus does not answer for one partition, as while its broker is being replaced.
type stallingBus struct {
	Bus
	stalls int32
	takes  time.Duration // for any other

	mu  sync.Mutex // guards got
	got map[string][]string
}

func (b *stallingBus) Send(ctx context.Context, partition int32, msgs ...skalds.NodeMessage) error {
	if partition == b.stalls {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	time.Sleep(b.takes)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range msgs {
		b.got[m.NodeID] = append(b.got[m.NodeID], m.Command.TaskID)
	}
	return nil
}

// TestAStalledPartitionDelaysNoOther: commands to all other nodes go out at once, each node's in order.
func TestAStalledPartitionDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &stallingBus{stalls: 1, takes: 20 * time.Millisecond, got: map[string][]string{}}
		c := newCluster(DefaultConfig())
		var nodes []skalds.Node
		for i := range int32(4) {
			nodes = append(nodes, skalds.Node{ID: fmt.Sprint("n", i), Incarnation: 1, LastHelloAt: 1, Partition: i})
		}
		c.load(nodes, noOffers(), nil, time.Now())
		o := newOutbox(func() int64 { return 1 }, b, c, hclog.NewNullLogger())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.Run(ctx) }()
		const many = 300
		for i := range many { // three seconds
			for _, n := range nodes {
				if !o.send(n.ID, skalds.NodeMessage{Command: &skalds.Command{TaskID: fmt.Sprint("t", i)}}) {
					t.Fatalf("nobody knows where to send to node %s", n.ID)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		b.mu.Lock()
		for _, id := range []string{"n0", "n2", "n3"} {
			if len(b.got[id]) != many {
				t.Errorf("node %s has %d of %d commands", id, len(b.got[id]), many)
			}
			for i, task := range b.got[id] {
				if task != fmt.Sprint("t", i) {
					t.Fatalf("node %s has as number %d the command for %s", id, i, task)
				}
			}
		}
		b.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
