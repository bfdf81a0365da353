package controller

import (
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// TestMissingTasksWhileReportsWait: a task that its node shows no more has ended, and where reports wait to be applied its end is
// among them. Only where they do not is its node asked for a hello.
func TestMissingTasksWhileReportsWait(t *testing.T) {
	const many = 60 // heartbeats, more than any patience with a missing task
	for name, tt := range map[string]struct {
		waits func(c *cluster, since time.Time)
		asks  bool
	}{
		"nothing waits":            {func(*cluster, time.Time) {}, true},
		"they wait for a moment":   {func(c *cluster, since time.Time) { c.reportsWait(since.Add(many * time.Second)) }, true},
		"they wait":                {func(c *cluster, since time.Time) { c.reportsWait(since) }, false},
		"they wait, and more come": {func(c *cluster, since time.Time) { c.reportsWait(since); c.reportsWait(since.Add(many * time.Second)) }, false},
		"they are applied":         {func(c *cluster, since time.Time) { c.reportsWait(since); c.reportsWait(time.Time{}) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			at := time.UnixMilli(now)
			c := newCluster(DefaultConfig())
			c.leads = true
			c.hold(&skalds.Task{Spec: skalds.Spec{ID: "t", ClassName: "C"}, Executor: "n", Epoch: 1}, at)
			tt.waits(c, at)
			asked := false
			for seq := int64(1); seq <= many; seq++ {
				at = at.Add(time.Second)
				c.heard("n", 1, seq, at)
				if seq == 1 {
					c.greet("n", 1, at)
				}
				c.observe([]skalds.Heartbeat{{NodeID: "n", Incarnation: 1, Seq: seq, Capacity: skalds.Capacity{CPUCores: 1}}}, at)
				asked = asked || len(c.wantsHello(at)) > 0
			}
			if asked != tt.asks {
				t.Errorf("asked for a hello: %v, want %v", asked, tt.asks)
			}
		})
	}
}
