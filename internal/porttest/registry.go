package porttest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func controllersAnnounced(t *testing.T, s Heartbeats, names *names) {
	ctx := t.Context()
	a, b := names.next("controller-a"), names.next("controller-b")
	info := func(id string, leads bool) skalds.ControllerInfo {
		return skalds.ControllerInfo{ID: id, URL: "http://" + id + ":8000", Version: "1", Leader: leads, At: 5}
	}
	listed := func() []skalds.ControllerInfo {
		t.Helper()
		all, err := s.Controllers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(all, func(c skalds.ControllerInfo) bool { return c.ID != a && c.ID != b })
	}
	for _, c := range []skalds.ControllerInfo{info(b, false), info(a, false), info(a, true)} {
		if err := s.Announce(ctx, c, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "controllers", listed(), []skalds.ControllerInfo{info(a, true), info(b, false)})
	for range 2 { // one that is not there is no error
		if err := s.Withdraw(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "after one has left", listed(), []skalds.ControllerInfo{info(b, false)})
	if err := s.Announce(ctx, info(a, false), time.Second); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; {
		if l := listed(); len(l) == 1 && l[0].ID == b {
			break
		}
		if time.Now().After(end) {
			t.Fatal("an entry of one second is still there after 30")
		}
		time.Sleep(50 * time.Millisecond)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Announce(over, info(a, false), time.Minute); err == nil {
		t.Error("announced after its context has ended")
	}
	if err := s.Withdraw(ctx, b); err != nil {
		t.Fatal(err)
	}
}
