package dispatch

import (
	"math"
	"time"
)

// How fast measurements are forgotten.
const (
	peakHalfLife = 5 * time.Minute
	histHalfLife = 30 * time.Minute
	// enoughSamples are needed before a profile is believed.
	enoughSamples = 5
)

// Profile is what the runs of one class in one version were measured to take, the start of each included: a peak that
// fades and a 95th percentile whose old samples fade.
type Profile struct {
	runs    int
	samples int
	cpu     measure
	memory  measure
}

// Runs is how many runs the profile has seen.
func (p *Profile) Runs() int { return p.runs }

func (p *Profile) known() bool { return p != nil && p.samples >= enoughSamples }

func (p *Profile) observe(cpuCores float64, memoryBytes int64, now time.Time) {
	p.samples++
	p.cpu.add(cpuCores, 0.001, now)
	p.memory.add(float64(memoryBytes), 1<<16, now)
}

// needCPU is the share that a run stays below most of the time: CPU can be shared for a moment.
func (p *Profile) needCPU() float64 { return p.cpu.quantile(0.95) }

// needMemory is the most that a run takes: memory cannot be shared.
func (p *Profile) needMemory(now time.Time) int64 {
	return int64(max(p.memory.quantile(0.95), p.memory.fadedPeak(now)))
}

// measure is one figure: a fading peak and a histogram with logarithmic buckets whose weights fade.
type measure struct {
	unit    float64 // upper end of the first bucket
	peak    float64
	peakAt  time.Time
	since   time.Time // weights count from here
	buckets [histBuckets]float64
	total   float64
}

const (
	histBuckets = 96
	histGrowth  = 1.2 // a bucket's upper end is this much above that of the one before
)

func (m *measure) add(v, unit float64, now time.Time) {
	if m.since.IsZero() {
		m.unit, m.since, m.peakAt = unit, now, now
	}
	if v >= m.fadedPeak(now) {
		m.peak, m.peakAt = v, now
	}
	exp := now.Sub(m.since).Hours() / histHalfLife.Hours()
	if exp > 60 { // keep the weights small: old samples are worth nothing by now
		scale := math.Exp2(-exp)
		for i := range m.buckets {
			m.buckets[i] *= scale
		}
		m.total *= scale
		m.since, exp = now, 0
	}
	w := math.Exp2(exp)
	m.buckets[m.bucket(v)] += w
	m.total += w
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
