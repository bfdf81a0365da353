package plugins

import "time"

const (
	dutyEvery   = 20 * time.Millisecond  // between two looks at a tree
	dutySoon    = 4 * time.Millisecond   // at least, where the budget is nearly used up
	dutyAtRest  = 50 * time.Millisecond  // between two looks at a tree that rests, for those who do not
	dutyIdle    = 100 * time.Millisecond // at a tree that has used nothing for dutyQuiet looks
	dutyQuiet   = 5
	dutySavings = 100 * time.Millisecond // so long's worth of its limit a tree can save up
	dutyMost    = 50 * time.Millisecond  // and so much of a core at most
	dutyRest    = time.Second            // the longest that a tree is stopped in one go: calls to it have longer deadlines
)

// cpuBucket decides when a tree has to stop so that it keeps to a CPU limit. Budget comes in at the rate of the limit and goes
// out with what is used. Where none is left the tree rests until what it owes is paid back and the savings are full: a
// tree that is always busy thus runs and rests by turns of 100 to 200 ms together, and a look that came late is made up for.
type cpuBucket struct {
	cores   float64       // the limit
	left    time.Duration // CPU time that may be used; negative: owed
	at      time.Time     // of the last step; zero before the first
	resting bool
	rate    float64 // cores used of late, rather too high than too low
	quiet   int     // steps in a row in which nothing was used
}

func (b *cpuBucket) worth(d time.Duration) time.Duration { return time.Duration(b.cores * float64(d)) }

// step takes what was used since the last one. It says when to come again at the latest; resting says what the tree shall do.
func (b *cpuBucket) step(now time.Time, used time.Duration) (next time.Duration) {
	full := min(b.worth(dutySavings), dutyMost)
	if b.at.IsZero() {
		b.at, b.left, b.rate = now, full, 1
		return dutyEvery
	}
	dt := max(0, now.Sub(b.at))
	b.at = now
	b.left = min(full, max(b.left+b.worth(dt)-used, -b.worth(dutyRest)))
	if used > 0 || b.resting {
		b.quiet = 0
	} else {
		b.quiet++
	}
	if b.resting && b.left >= full {
		b.resting = false
	} else if b.left <= 0 {
		b.resting = true
	}
	if b.resting {
		missing := time.Duration(float64(full-b.left) / b.cores)
		return min(max(missing, time.Millisecond), dutyAtRest)
	}
	if dt > 0 && used > 0 {
		b.rate = max(float64(used)/float64(dt), b.rate*0.8)
	}
	if b.quiet >= dutyQuiet && b.left == full {
		return dutyIdle
	}
	return min(max(time.Duration(float64(b.left)/max(b.rate, b.cores)), dutySoon), dutyEvery)
}
