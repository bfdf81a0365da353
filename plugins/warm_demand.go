package plugins

import (
	"math"
	"time"
)

const (
	// warmFor is how long after the last launch of a version a process of it is kept ready.
	warmFor = time.Minute
	// warmAhead is for how many seconds of arrivals there shall be processes: what it takes to notice a demand and fill up.
	warmAhead = 2.0
	// warmMemory is reckoned for a ready process, before any has been measured.
	warmMemory = 8 << 20
	// demandHalfLife is how fast earlier arrivals count less.
	demandHalfLife = 10 * time.Second
)

// warmDemand is how fast a version is asked for. It is pure: times are handed in.
type warmDemand struct {
	rate float64 // arrivals a second, averaged with a half-life
	last time.Time
}

// arrive notes n launches at once.
func (d *warmDemand) arrive(now time.Time, n int) {
	d.rate = d.at(now) + float64(n)*math.Ln2/demandHalfLife.Seconds()
	d.last = now
}

// at is the rate as it has faded by now.
func (d *warmDemand) at(now time.Time) float64 {
	if d.last.IsZero() {
		return 0
	}
	return d.rate * math.Exp2(-now.Sub(d.last).Seconds()/demandHalfLife.Seconds())
}

// wanted is how many processes shall be ready: one as long as the version is hot, and more for a fast arrival.
func (d *warmDemand) wanted(now time.Time, most int) int {
	if d.last.IsZero() || now.Sub(d.last) > warmFor {
		return 0
	}
	return min(most, 1+int(d.at(now)*warmAhead))
}
