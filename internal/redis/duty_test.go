package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
)

// TestDutyOfAController counts how often a controller that leads asks the server while 100 nodes live: for all of them at once, not
// for each. Promised are once a second for heartbeats, once for Python nodes of which there are none, and an announcement every three.
func TestDutyOfAController(t *testing.T) {
	const nodes = 100
	const watched = 6 * time.Second
	target := given(t)
	hosts := openBeats(t, redis.Config{Addr: target})
	seq := int64(0)
	beat := func() {
		seq++
		for i := range nodes {
			h := busyNode(fmt.Sprintf("duty-%d", i), 1)
			h.Seq = seq
			must(t, hosts.Beat(t.Context(), h, time.Minute))
		}
	}
	defer func() {
		for i := range nodes {
			_ = hosts.Forget(context.WithoutCancel(t.Context()), fmt.Sprintf("duty-%d", i))
		}
	}()
	beat()
	var count counter
	beats := openBeats(t, redis.Config{Addr: count.count(t, target)})
	cfg := controller.DefaultConfig()
	cfg.Originals, cfg.ServerURL = true, "http://duty.example:8000"
	c, err := controller.New(cfg, controllertest.NewStore(), controllertest.NewBus(), beats, nil, testlog.New(t))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- c.Run(ctx) }()
	go func() { done <- c.Announce(beats, "1.0.0", "DISPATCHER")(ctx) }()
	defer func() {
		cancel()
		for range 2 {
			must(t, <-done)
		}
	}()
	online := func() (n int) {
		list, err := c.Nodes().Nodes(ctx)
		must(t, err)
		for _, v := range list {
			if v.Online {
				n++
			}
		}
		return n
	}
	eventually(t, "the controller knows all nodes", func() bool { return c.Leader() == cfg.ID && online() >= nodes })
	asked, began := count.questions.Load(), time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for time.Since(began) < watched {
		beat()
		<-tick.C
	}
	asked = count.questions.Load() - asked
	seconds := time.Since(began).Seconds()
	t.Logf("%d nodes: the controller asks %.2f times a second", nodes, float64(asked)/seconds)
	if per := float64(asked) / seconds; per > 5 || per < 0.5 {
		t.Errorf("the server was asked %.2f times a second, promised are 2.3", per)
	}
	if n := online(); n < nodes {
		t.Errorf("%d of %d nodes are online", n, nodes)
	}
	if list, err := beats.Controllers(t.Context()); err != nil || len(list) == 0 {
		t.Errorf("announced are %v, %v", list, err)
	}
}
