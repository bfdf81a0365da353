package dispatch

import (
	"time"

	"github.com/skalds-go/skalds"
)

type profileKey struct{ className, worker string }

// run is (epoch, attempt).
type run [2]int64

// maxLeft bounds how many released tasks are remembered, twice.
const maxLeft = 4096

func (l *Ledger) profile(className, worker string) *Profile {
	key := profileKey{className, worker}
	p := l.profiles[key]
	if p == nil {
		p = &Profile{}
		l.profiles[key] = p
	}
	return p
}

// learn adds a measurement to the profile of its class and version. at is the host's time of it.
func (l *Ledger) learn(h *held, in *skalds.InstanceStatus, at int64, now time.Time) {
	if in.PID == 0 || in.Worker == "" || in.Usage.MemoryBytes == 0 || in.State == skalds.Paused {
		return
	}
	p := l.profile(in.ClassName, in.Worker)
	if this := (run{in.Epoch, int64(in.Attempt)}); h.attempt != this {
		h.attempt, h.peak, h.start, h.worker = this, skalds.Usage{}, skalds.Usage{}, in.Worker
		p.runs++
	}
	p.observe(in.Usage.CPUCores, in.Usage.MemoryBytes, now)
	most := in.Usage
	if peak := h.peak.Max(in.Peak); peak != h.peak { // it stays what it is for the whole attempt, and counts once
		h.peak, most = peak, most.Max(in.Peak)
		p.raise(in.Peak, now)
	}
	switch {
	case in.StartedAt != 0 && at-in.StartedAt < startFor.Milliseconds():
		h.start = h.start.Max(most)
		p.starting(most)
	case h.start != skalds.Usage{}:
		p.started(h.start)
		h.start = skalds.Usage{}
	}
}

// leave remembers which attempt of a task was learned from, and learns from a start that was the whole of it.
func (l *Ledger) leave(h *held) {
	if h.attempt == (run{}) {
		return
	}
	if h.start != (skalds.Usage{}) {
		l.profile(h.className, h.worker).started(h.start)
	}
	if l.left[0] == nil || len(l.left[0]) >= maxLeft {
		l.left[0], l.left[1] = map[string]run{}, l.left[0]
	}
	l.left[0][h.taskID] = h.attempt
}

// Ended learns from the report of an attempt: its peak, and all there is of one that no heartbeat has shown.
func (l *Ledger) Ended(className string, a *skalds.Attempt, now time.Time) {
	if a.PID == 0 || a.Version == "" || a.Peak.MemoryBytes == 0 {
		return
	}
	p := l.profile(className, a.Version)
	if l.hasSeen(a) {
		p.raise(a.Peak, now)
		return
	}
	p.runs++
	p.observe(a.Peak.CPUCores, a.Peak.MemoryBytes, now)
	if a.EndedAt-a.StartedAt < startFor.Milliseconds() {
		p.started(a.Peak)
	}
}

func (l *Ledger) hasSeen(a *skalds.Attempt) bool {
	this := run{a.Epoch, int64(a.Attempt)}
	if h := l.tasks[a.TaskID]; h != nil && h.attempt == this {
		return true
	}
	return l.left[0][a.TaskID] == this || l.left[1][a.TaskID] == this
}
