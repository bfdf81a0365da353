package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// TestLeakBesideRecorders lets a worker take a GiB a second beside ten recorders: it alone dies, its report says of what, and the
// recorders miss no picture.
func TestLeakBesideRecorders(t *testing.T) {
	const recorders, limit = 10, 128 << 20
	dir := t.TempDir()
	p := standalone(t, dir)
	address := freeAddress(t)
	p.create(persistent(t, "camera", "TestCamera", cameraAt(address)))
	p.counts("camera", 0)
	ids := make([]string, recorders)
	pids := make([]int, recorders)
	for i := range ids {
		ids[i] = fmt.Sprintf("recorder-%d", i)
		// The camera will fall silent at the end: nobody shall connect anew then.
		p.create(persistent(t, ids[i], "RTSPRecorder", recorderOf(address).with(object{"watchdogSeconds": 600})))
	}
	for i, id := range ids {
		p.becomes(id, "records", func(r api.TaskResponse) bool { return r.Progress.Units > cameraFPS })
		pids[i] = p.runs(id).Instance.PID
	}

	p.create(task("leak", "leak", func(c *api.CreateTask) {
		c.Limits.MemoryBytes = limit
		c.Retry.MaxAttempts = 1
	}))
	if r := p.ends("leak"); r.LifecycleStatus != skalds.Failed || r.LastExit == nil || !r.LastExit.ForMemory() ||
		!strings.Contains(r.LastExit.Message, "memory") {
		t.Errorf("the leak is %s by %+v", r.LifecycleStatus, r.LastExit)
	}
	attempts, err := p.Attempts(t.Context(), "leak")
	if err != nil || len(attempts) != 1 {
		t.Fatalf("%d attempts of the leak, %v", len(attempts), err)
	}
	// Over the limit by no more than it takes in five times the 150 ms that the watchdog may need.
	const most = limit + (1<<30)*5*15/100
	if peak := attempts[0].Peak.MemoryBytes; peak <= limit*9/10 || peak > most {
		t.Errorf("its peak was %d bytes, the limit %d", peak, limit)
	}
	t.Logf("the leak: %s; peak %d MiB", attempts[0].Exit.Message, attempts[0].Peak.MemoryBytes>>20)

	// The recorders go on, in the same processes.
	seen := p.beats(ids[0], 1).Progress.Units
	for i, id := range ids {
		r := p.becomes(id, "goes on", func(r api.TaskResponse) bool { return r.Progress.Units > seen+2*cameraFPS })
		if r.Attempt != 1 || r.BudgetUsed != 0 || r.Instance == nil || r.Instance.PID != pids[i] {
			t.Errorf("%s: attempt %d, process %+v after %d", id, r.Attempt, r.Instance, pids[i])
		}
	}
	p.missesNothing("camera", address, ids)
}

// missesNothing ends a recording and compares the counts: what a camera has sent to all is what its recorders got, and what
// lies on the disk.
func (p *program) missesNothing(camera, address string, ids []string) {
	p.t.Helper()
	p.update(camera, cameraAt(address).with(object{"faults": []object{{"kind": "novideo"}}}))
	var sent, received int64
	p.until("all that was sent has come", func(ctx context.Context) bool {
		r, err := p.Task(ctx, camera)
		if err != nil {
			return false
		}
		sent, received = r.Progress.Units, 0
		for _, id := range ids {
			if r, err = p.Task(ctx, id); err != nil {
				return false
			}
			received += r.Progress.Units
		}
		return sent == received
	})
	p.t.Logf("%d pictures were sent and received", sent)
	recorded := 0
	for _, id := range ids {
		if _, err := p.Cancel(p.t.Context(), id); err != nil {
			p.t.Fatal(err)
		}
		list := p.films(id, "end", func(l []movie) bool { return len(l) > 0 && l[len(l)-1].end == "stop" })
		if len(list) != 1 {
			p.t.Errorf("%s has %d files, want one: the connection broke", id, len(list))
		}
		for _, m := range list {
			regular(p.t, m, cameraFPS)
			recorded += len(m.durations)
		}
	}
	if int64(recorded) != sent {
		p.t.Errorf("%d pictures lie on the disk, %d were sent", recorded, sent)
	}
}
