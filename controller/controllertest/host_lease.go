package controllertest

import (
	"cmp"
	"time"

	"github.com/skalds-go/skalds"
)

func (h *Host) beat() {
	h.beatSeq++
	if h.cut {
		return
	}
	hb := skalds.Heartbeat{
		NodeID: h.ID, Incarnation: h.incarnation, Seq: h.beatSeq, At: time.Now().UnixMilli(), Mode: h.Mode, Partition: h.bus.Partition(h.ID),
		Capacity: h.Capacity, Enforcement: h.Enforcement, Isolation: h.Isolation, Labels: h.Labels,
	}
	for _, w := range h.Workers {
		hb.Workers = append(hb.Workers, w.Ref())
	}
	for _, in := range h.inOrder() {
		hb.Instances = append(hb.Instances, skalds.InstanceStatus{
			TaskID: in.cmd.TaskID, ClassName: in.cmd.Spec.ClassName, Epoch: in.cmd.Epoch, Attempt: in.attempt, State: in.state,
			PID: 4711, Worker: h.worker(), StartedAt: in.started.UnixMilli(), Usage: h.Usage, Peak: h.Usage,
		})
	}
	if h.bus.Beat(hb) {
		if time.Since(h.renewed) >= h.leaseTime()-time.Second {
			h.unbroken = time.Now()
		}
		h.renewed = time.Now()
	}
}

func (h *Host) worker() string {
	if len(h.Workers) == 0 {
		return ""
	}
	return h.Workers[0].Ref()
}

func (h *Host) leaseTime() time.Duration { return cmp.Or(h.Lease, 6*time.Second) }

// lease kills what others may run when no heartbeat got through for too long: a second before they may.
func (h *Host) lease() {
	if time.Since(h.renewed) < h.leaseTime()-time.Second {
		return
	}
	h.shut()
	for _, in := range h.inOrder() {
		if in.cmd.Spec.OnDisconnect != skalds.OnDisconnectKeep {
			h.end(in, skalds.Report{State: skalds.Created, GoneFor: "lease_lost"}, &skalds.Exit{Kind: skalds.ExitLeaseLost})
		}
	}
}
