package plugins

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
)

// How much of the way to its end an instance remembers.
const (
	curvePoints = 60                     // half of them from looks of the watchdog, half a second apart or more
	curveStep   = 900 * time.Millisecond // a tick may come a little early
)

// usageRing keeps the last measurements of an instance: the newest as close together as the watchdog looks, older ones a
// second apart. The zero value is empty; it is safe for concurrent use.
type usageRing struct {
	mu      sync.Mutex // guards all below
	looks   pointRing  // of the watchdog
	rounds  pointRing  // a step apart
	cpu     float64    // of the last round
	closed  bool       // its tree was killed: what is measured now is its dying
	watched time.Time  // the last look of the watchdog
}

// pointRing overwrites its oldest point.
type pointRing struct {
	points [curvePoints / 2]usagePoint
	count  int // ever added
}

type usagePoint struct {
	at     int64 // ms since epoch
	cpu    float64
	memory int64
}

func (r *pointRing) add(p usagePoint) {
	r.points[r.count%len(r.points)] = p
	r.count++
}

// newest is the point that was added last; its time is 0 where there is none.
func (r *pointRing) newest() usagePoint {
	if r.count == 0 {
		return usagePoint{}
	}
	return r.points[(r.count-1)%len(r.points)]
}

// round takes a measurement of all figures. Where the watchdog looks more often, its figure of memory, the one that is held
// against the limit, makes the curve, and this one gives the CPU.
func (r *usageRing) round(now time.Time, u skalds.Usage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || u.MemoryBytes == 0 { // nothing is left of it
		return
	}
	r.cpu = u.CPUCores
	if now.Sub(r.watched) >= 2*curveStep {
		r.rounds.add(usagePoint{now.UnixMilli(), u.CPUCores, u.MemoryBytes})
	}
}

// watch takes the memory that the watchdog has seen.
func (r *usageRing) watch(now time.Time, memory int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || memory == 0 {
		return
	}
	p := usagePoint{now.UnixMilli(), r.cpu, memory}
	r.watched = now
	r.looks.add(p)
	if p.at-r.rounds.newest().at >= curveStep.Milliseconds() {
		r.rounds.add(p)
	}
}

// close keeps the curve as it is.
func (r *usageRing) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// curve lists the points, oldest first, each time once.
func (r *usageRing) curve() []skalds.UsageSample {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []skalds.UsageSample
	for _, ring := range []*pointRing{&r.rounds, &r.looks} {
		for _, p := range ring.points[:min(ring.count, len(ring.points))] {
			out = append(out, skalds.UsageSample{At: p.at, Usage: skalds.Usage{CPUCores: p.cpu, MemoryBytes: p.memory}})
		}
	}
	slices.SortStableFunc(out, func(a, b skalds.UsageSample) int { return cmp.Compare(a.At, b.At) })
	return slices.CompactFunc(out, func(a, b skalds.UsageSample) bool { return a.At == b.At })
}
