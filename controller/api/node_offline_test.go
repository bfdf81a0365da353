package api

import (
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// What a node that is gone took last takes nothing any more.
func TestAnOfflineNodeTakesNothing(t *testing.T) {
	v := controller.NodeView{Heartbeat: &skalds.Heartbeat{
		Capacity: skalds.Capacity{CPUCores: 2}, Reserved: skalds.Resources{CPUCores: 0.3}, Used: skalds.Usage{CPUCores: 0.2},
	}}
	if r := nodeResponse(v); r.Reserved != nil || r.Used != nil || r.Foreign != nil || r.Capacity == nil {
		t.Errorf("%+v %+v %+v %+v", r.Reserved, r.Used, r.Foreign, r.Capacity)
	}
	v.Online = true
	if r := nodeResponse(v); r.Reserved == nil || r.Used == nil || r.Reserved.CPUCores != 0.3 {
		t.Errorf("%+v %+v", r.Reserved, r.Used)
	}
}
