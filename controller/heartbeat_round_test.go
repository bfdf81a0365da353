package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// BenchmarkHeartbeatRound takes in one round of heartbeats: 100 nodes with 100 running tasks each.
func BenchmarkHeartbeatRound(b *testing.B) {
	const nodes, perNode = 100, 100
	at := time.UnixMilli(now)
	c := newCluster(DefaultConfig())
	beats := make([]skalds.Heartbeat, nodes)
	for n := range beats {
		hb := &beats[n]
		*hb = skalds.Heartbeat{NodeID: fmt.Sprintf("node-%03d", n), Incarnation: 1, Capacity: skalds.Capacity{CPUCores: 64, MemoryBytes: 256 << 30}}
		for i := range perNode {
			id := fmt.Sprintf("camera-%03d-%03d", n, i)
			hb.Instances = append(hb.Instances, skalds.InstanceStatus{
				TaskID: id, ClassName: "Recorder", Worker: "rtsp-worker@1.2.0", State: skalds.Running, Epoch: 1, Attempt: 1, PID: 100 + i,
				StartedAt: at.UnixMilli(), Usage: skalds.Usage{CPUCores: 0.05 + float64(i)/100, MemoryBytes: int64(40+i) << 20},
			})
			c.hold(&skalds.Task{Spec: skalds.Spec{ID: id, ClassName: "Recorder"}, Executor: hb.NodeID}, at)
		}
		c.heard(hb.NodeID, 1, 1, at)
	}
	var seq int64
	round := func() {
		seq++
		at = at.Add(time.Second)
		for n := range beats {
			beats[n].Seq = seq
			beats[n].Instances[seq%perNode].Usage.CPUCores += 0.1
		}
		again := append([]skalds.Heartbeat(nil), beats...)
		c.observe(again, at)
	}
	for range 700 { // the memory of the last minutes is full
		round()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		round()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/nodes/perNode, "ns/task")
}
