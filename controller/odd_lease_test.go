package controller

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

func TestALeaseThatDiffersIsShown(t *testing.T) {
	c, at := newCluster(DefaultConfig()), time.UnixMilli(now)
	beat := func(seq, lease int64) {
		c.heard("n1", 1, seq, at)
		c.observe([]skalds.Heartbeat{{NodeID: "n1", Incarnation: 1, Seq: seq, LeaseMillis: lease}}, at)
	}
	shown := func() int {
		v, _ := c.view("n1")
		return len(v.Heartbeat.Problems)
	}
	for seq, tt := range []struct {
		lease       int64
		shown, said int
	}{{0, 0, 0}, {6000, 0, 0}, {15000, 1, 1}, {15000, 1, 0}, {6000, 0, 0}, {3000, 1, 1}} {
		beat(int64(seq+1), tt.lease)
		odd := c.oddLeases()
		if shown() != tt.shown || len(odd) != tt.said {
			t.Errorf("%d: a lease of %d ms: %d problems, said %v", seq, tt.lease, shown(), odd)
		}
		if tt.said > 0 && !strings.Contains(odd["n1"], "the controller one of 6s") {
			t.Errorf("said %v", odd)
		}
	}
}

// registry is one in memory.
type registry map[string]skalds.ControllerInfo

func (r registry) Announce(_ context.Context, c skalds.ControllerInfo, _ time.Duration) error {
	r[c.ID] = c
	return nil
}

func (r registry) Controllers(context.Context) (out []skalds.ControllerInfo, err error) {
	for _, c := range r {
		out = append(out, c)
	}
	return out, nil
}

func (r registry) Withdraw(_ context.Context, id string) error { delete(r, id); return nil }

func TestControllersCompareTheirLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := registry{"same": {ID: "same", LeaseMillis: 6000}, "older": {ID: "older"}, "other": {ID: "other", LeaseMillis: 15000}}
		a := &announcer{to: r, log: hclog.New(&hclog.LoggerOptions{Output: &log}), info: func() skalds.ControllerInfo { return skalds.ControllerInfo{ID: "own", LeaseMillis: 6000} }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "disagree"); n != 1 || !strings.Contains(log.String(), "controller=other there=15s") {
			t.Errorf("said %d times: %s", n, log.String())
		}
	})
}
