package controller

import (
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// TestAnEndThatWasGivenUpIsOwed: a host forgets an end when the record of it is acknowledged, so that must wait until the
// end is applied.
func TestAnEndThatWasGivenUpIsOwed(t *testing.T) {
	c := newCluster(DefaultConfig())
	at := time.UnixMilli(now)
	c.heard("n1", 4, 1, at)
	a := newApplier(nil, nil, &TaskService{cluster: c}, nil, nil, nil, quiet)
	says := func(m skalds.HostMessage) *taskWork {
		m.NodeID, m.Incarnation = "n1", 4
		return &taskWork{taskID: "t", items: []skalds.HostMessage{m}}
	}
	report := func(r skalds.Report) *taskWork { return says(skalds.HostMessage{Report: &r}) }
	record := says(skalds.HostMessage{Outcome: &skalds.Outcome{}})
	over := says(skalds.HostMessage{Outcome: &skalds.Outcome{}})
	over.over = true
	for i, tt := range []struct {
		work  *taskWork
		done  ending
		owed  bool
		hello bool // the node must say one
	}{
		{report(skalds.Report{State: skalds.Running}), applied, false, false},
		{report(skalds.Report{State: skalds.Running}), givenUp, false, true},
		{record, applied, false, false},
		{record, givenUp, false, false}, // it is sent again until it is acknowledged
		{report(skalds.Report{State: skalds.Finished}), givenUp, true, true},
		{record, applied, true, false},
		{report(skalds.Report{State: skalds.Running}), applied, true, false},
		{report(skalds.Report{State: skalds.Finished}), interrupted, true, false},
		{report(skalds.Report{State: skalds.Finished}), applied, false, false},
		{record, applied, false, false},
		{report(skalds.Report{State: skalds.Created, GoneFor: "move"}), givenUp, true, true},
		{report(skalds.Report{State: skalds.Created, GoneFor: "move"}), applied, false, false},
		{report(skalds.Report{State: skalds.Finished}), givenUp, true, true},
		{over, applied, false, false}, // a user has cancelled it meanwhile
		{record, applied, false, false},
	} {
		greet(c, 4, at)
		if got := a.owes(tt.work, tt.done); got != tt.owed {
			t.Errorf("step %d: owed %v, want %v", i, got, tt.owed)
		}
		if asked := len(c.wantsHello(at.Add(time.Hour))) > 0; asked != tt.hello {
			t.Errorf("step %d: asked for a hello %v, want %v", i, asked, tt.hello)
		}
	}
}
