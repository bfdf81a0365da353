package dispatch

import (
	"math"
	"time"

	"github.com/skalds-go/skalds"
)

// How fast measurements are forgotten.
const (
	peakHalfLife = 5 * time.Minute
	histHalfLife = 30 * time.Minute
	// enoughSamples are needed before a profile is believed.
	enoughSamples = 5
	// startFor is how long an attempt counts as starting.
	startFor = 30 * time.Second
	// startWeight is that of the newest start where it took less than those before.
	startWeight = 0.1
)

// Profile is what the runs of one class in one version were measured to take: a peak that fades, a 95th percentile whose
// old samples fade, and what a start takes, which fades with starts and not with time: the next one will take it however
// long ago the last was.
type Profile struct {
	runs    int
	samples int
	cpu     measure
	memory  measure
	start   skalds.Usage
	updated time.Time

	figuresAt time.Time // of figures; zero: to be computed anew
	figures   skalds.Resources
}

// Runs is how many runs the profile has seen.
func (p *Profile) Runs() int { return p.runs }

func (p *Profile) known() bool { return p != nil && p.samples >= enoughSamples }

func (p *Profile) observe(cpuCores float64, memoryBytes int64, now time.Time) {
	p.samples++
	p.updated, p.figuresAt = now, time.Time{}
	p.cpu.add(cpuCores, 0.001, now)
	p.memory.add(float64(memoryBytes), 1<<16, now)
}

// needCPU is the share that a run stays below most of the time: CPU can be shared for a moment.
func (p *Profile) needCPU() float64 { return p.cpu.quantile(0.95) }

// needMemory is the most that a run takes, its start included: memory cannot be shared.
func (p *Profile) needMemory(now time.Time) int64 {
	return max(int64(max(p.memory.quantile(0.95), p.memory.fadedPeak(now))), p.start.MemoryBytes)
}

// needs is both, computed once a second at most: placing asks for them once for every node.
func (p *Profile) needs(now time.Time) skalds.Resources {
	if age := now.Sub(p.figuresAt); p.figuresAt.IsZero() || age < 0 || age >= time.Second {
		p.figures, p.figuresAt = skalds.Resources{CPUCores: p.needCPU(), MemoryBytes: p.needMemory(now)}, now
	}
	return p.figures
}

// raise takes a peak between two samples.
func (p *Profile) raise(peak skalds.Usage, now time.Time) {
	p.cpu.raise(peak.CPUCores, now)
	p.memory.raise(float64(peak.MemoryBytes), now)
	p.figuresAt = time.Time{}
}

// starting takes what an attempt takes while it starts.
func (p *Profile) starting(u skalds.Usage) { p.start = p.start.Max(u) }

// started takes the most that a whole start took: one that took less draws the figure towards its own.
func (p *Profile) started(most skalds.Usage) {
	p.start.CPUCores = drawn(p.start.CPUCores, most.CPUCores)
	p.start.MemoryBytes = int64(drawn(float64(p.start.MemoryBytes), float64(most.MemoryBytes)))
	p.figuresAt = time.Time{}
}

func drawn(known, latest float64) float64 {
	if latest >= known {
		return latest
	}
	return known + startWeight*(latest-known)
}

// measure is one figure: a fading peak and a histogram with logarithmic buckets whose weights fade.
type measure struct {
	unit    float64 // upper end of the first bucket
	peak    float64
	peakAt  time.Time
	since   time.Time // weights count from here
	buckets [histBuckets]float64
	total   float64

	// The samples of one round have one time: its weight and the faded peak are computed once.
	at     time.Time
	weight float64
	faded  float64
}

const (
	histBuckets = 96
	histGrowth  = 1.2 // a bucket's upper end is this much above that of the one before
)

func (m *measure) add(v, unit float64, now time.Time) {
	if m.since.IsZero() {
		m.unit, m.since, m.peakAt = unit, now, now
	}
	if !m.at.Equal(now) {
		m.round(now)
	}
	if v >= m.faded {
		m.peak, m.peakAt, m.faded = v, now, v
	}
	m.buckets[m.bucket(v)] += m.weight
	m.total += m.weight
}

// raise takes a peak that is no sample.
func (m *measure) raise(v float64, now time.Time) {
	if !m.since.IsZero() && v >= m.fadedPeak(now) {
		m.peak, m.peakAt, m.at = v, now, time.Time{}
	}
}

// round computes what the samples of one time have in common.
func (m *measure) round(now time.Time) {
	exp := now.Sub(m.since).Hours() / histHalfLife.Hours()
	if exp > 60 { // keep the weights small: old samples are worth nothing by now
		scale := math.Exp2(-exp)
		for i := range m.buckets {
			m.buckets[i] *= scale
		}
		m.total *= scale
		m.since, exp = now, 0
	}
	m.at, m.weight, m.faded = now, math.Exp2(exp), m.fadedPeak(now)
}

func (m *measure) bucket(v float64) int {
	if v <= m.unit {
		return 0
	}
	return min(int(math.Log(v/m.unit)/math.Log(histGrowth))+1, histBuckets-1)
}

// fadedPeak halves every half-life; it never falls below what later samples say, because those replace it.
func (m *measure) fadedPeak(now time.Time) float64 {
	return m.peak * math.Exp2(-now.Sub(m.peakAt).Hours()/peakHalfLife.Hours())
}

// quantile is the upper end of the bucket below which the share q of all weight lies: at most a fifth too much.
func (m *measure) quantile(q float64) float64 {
	sum := 0.0
	for i, w := range m.buckets {
		if sum += w; sum >= q*m.total {
			return m.unit * math.Pow(histGrowth, float64(i))
		}
	}
	return m.peak
}
