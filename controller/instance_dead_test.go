package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
)

// TestWhatADeadProcessMeans goes through the tasks that the word of a dead process can be about.
func TestWhatADeadProcessMeans(t *testing.T) {
	retried := func(t *skalds.Task) { t.Epoch, t.BoundTo, t.Executor = 6, "n1", "" }
	for name, c := range map[string]struct {
		task    *skalds.Task
		changed bool
		state   skalds.State
		epoch   int64
		check   func(*skalds.Task) bool
	}{
		"running":              {taskIn(skalds.Running), true, skalds.Created, 6, func(t *skalds.Task) bool { return t.Executor == "" && len(t.NodeLosses) == 1 }},
		"keeps":                {taskIn(skalds.Running, keeps), true, skalds.Created, 6, nil},
		"paused":               {taskIn(skalds.Paused), true, skalds.Paused, 6, func(t *skalds.Task) bool { return t.Executor == "" && t.Desired == skalds.DesiredPaused }},
		"leaving":              {taskIn(skalds.Running, gone), true, skalds.Created, 6, nil},
		"of a file":            {taskIn(skalds.Running, active), true, skalds.Running, 5, func(t *skalds.Task) bool { return t.PID == 0 && t.Executor == "n1" && t.LastExit != nil }},
		"of a file, assigned":  {taskIn(skalds.Assigning, active), false, skalds.Assigning, 5, nil},
		"of another node":      {taskIn(skalds.Running, func(t *skalds.Task) { t.Executor = "n2" }), false, skalds.Running, 5, nil},
		"of a later epoch":     {taskIn(skalds.Running, func(t *skalds.Task) { t.Epoch = 7 }), false, skalds.Running, 7, nil},
		"of an earlier epoch":  {taskIn(skalds.Running, func(t *skalds.Task) { t.Epoch = 4 }), false, skalds.Running, 4, nil},
		"waits":                {taskIn(skalds.Created), false, skalds.Created, 5, nil},
		"finished":             {taskIn(skalds.Finished), false, skalds.Finished, 5, nil},
		"cancelled, leaving":   {taskIn(skalds.Cancelled, gone), true, skalds.Cancelled, 5, func(t *skalds.Task) bool { return t.AckedRevision == t.DesiredRevision }},
		"run again":            {taskIn(skalds.Created, retried), true, skalds.Created, 6, func(t *skalds.Task) bool { return t.BoundTo == "" }},
		"run again, of a file": {taskIn(skalds.Created, active, retried), false, skalds.Created, 6, func(t *skalds.Task) bool { return t.BoundTo == "n1" }},
		"run again twice":      {taskIn(skalds.Created, retried, func(t *skalds.Task) { t.Epoch = 7 }), false, skalds.Created, 7, func(t *skalds.Task) bool { return t.BoundTo == "n1" }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, silent := range []bool{false, true} {
				before, after := c.task.Clone(), c.task.Clone()
				if changed := instanceDead(after, "n1", 5, silent, now); changed != c.changed {
					t.Errorf("changed %v", changed)
				}
				if after.LifecycleStatus != c.state || after.Epoch != c.epoch || c.check != nil && !c.check(after) {
					t.Errorf("it has become %+v", after)
				}
				if !c.changed {
					if diff := cmp.Diff(before, after); diff != "" {
						t.Errorf("changed without a word (-before +after):\n%s", diff)
					}
				}
				again := after.Clone()
				if instanceDead(again, "n1", 5, silent, now+1) {
					t.Errorf("the same word again has made of it %+v", again)
				}
			}
		})
	}
}
