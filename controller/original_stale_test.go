package controller

import (
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/originals"
)

// TestAPythonNodeHearsNothingOld: a task was handed out before its creation is heard of. Its process is not told to go for that.
func TestAPythonNodeHearsNothingOld(t *testing.T) {
	c := newCluster(DefaultConfig())
	c.setOriginal(originals.NodeChange{ID: "py", Mode: skalds.NodeModeNode, Online: true, At: time.UnixMilli(now)})
	o := &originalNodes{
		cluster: c, clock: wallClock{time.Now()}, log: quiet, wake: make(chan struct{}, 1), bridge: originals.New(originals.DefaultConfig()),
		coming: map[string]originals.Origin{}, driving: true,
	}
	created := &skalds.Task{Spec: skalds.Spec{ID: "t", Mode: skalds.ModePassive}, LifecycleStatus: skalds.Created, Epoch: 2}
	handed := created.Clone()
	handed.LifecycleStatus, handed.Executor, handed.Epoch = skalds.Assigning, "py", 3
	o.follow(handed)
	o.follow(created)
	for _, s := range o.bridge.Sends(o.clock.Now()) {
		if s.Topic == skalds.TopicTaskCancel {
			t.Errorf("it is sent %+v", s)
		}
	}
	if e := o.bridge.Epoch("t"); e != 3 {
		t.Errorf("it is held in epoch %d", e)
	}
}
