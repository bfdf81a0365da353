package plugins

import (
	"fmt"
	"testing"
	"time"
)

// simulated is a tree that computes with some threads whenever it may, looked at as the cycle does, by a clock that counts
// in the kernel's steps of 10 ms and with looks that come late.
type simulated struct {
	b          cpuBucket
	threads    float64
	late       time.Duration
	used, told time.Duration
	at         time.Time
	longest    time.Duration // at rest
}

func (s *simulated) run(d time.Duration) (used time.Duration) {
	before, until := s.used, s.at.Add(d)
	var rest time.Duration
	for s.at.Before(until) {
		seen := s.used.Truncate(10 * time.Millisecond)
		next := s.b.step(s.at, seen-s.told) + s.late
		s.told, s.at = seen, s.at.Add(next)
		if s.b.resting {
			rest += next
			s.longest = max(s.longest, rest)
		} else {
			rest = 0
			s.used += time.Duration(s.threads * float64(next))
		}
	}
	return s.used - before
}

func TestWhoeverAlwaysComputesGetsTheLimit(t *testing.T) {
	const window = 5 * time.Second
	for _, cores := range []float64{0.05, 0.1, 0.25, 0.5, 0.9, 1, 1.5, 3} {
		for _, threads := range []float64{1, 2, 4} {
			for _, late := range []time.Duration{0, 3 * time.Millisecond, 30 * time.Millisecond} {
				t.Run(fmt.Sprintf("%g cores, %g threads, %s late", cores, threads, late), func(t *testing.T) {
					s := simulated{b: cpuBucket{cores: cores}, threads: threads, late: late, at: time.Unix(0, 0)}
					used := s.run(window)
					share, want := used.Seconds()/window.Seconds(), min(cores, threads)
					// What is saved up, one look, and the clock's steps may come on top, once.
					bound := cores + (min(cores*dutySavings.Seconds(), dutyMost.Seconds())+threads*(dutyEvery+late).Seconds()+0.01)/window.Seconds()
					if threads*(dutyEvery+late).Seconds() > cores*dutyRest.Seconds() {
						bound = threads // one look owes more than the longest rest pays back
					}
					if share > bound || share < 0.7*want {
						t.Errorf("got %.3f cores, want %.3f to %.3f", share, 0.7*want, bound)
					}
					if s.longest > dutyRest+dutyEvery+dutySavings+late {
						t.Errorf("at rest for %s", s.longest)
					}
				})
			}
		}
	}
}

func TestSavingsAreLimited(t *testing.T) {
	s := simulated{b: cpuBucket{cores: 0.5}, at: time.Unix(0, 0)}
	if s.run(time.Minute); s.b.resting || s.b.left != 50*time.Millisecond || s.b.quiet < dutyQuiet {
		t.Errorf("after an idle minute: %+v", s.b)
	}
	s.threads = 1
	if used := s.run(time.Second); used > 700*time.Millisecond { // 50 ms saved, 100 ms until somebody looked
		t.Errorf("%s in the second after that", used)
	}
}

func TestStepsOfABucket(t *testing.T) {
	const ms = time.Millisecond
	at := time.Unix(0, 0)
	b := cpuBucket{cores: 0.5}
	for n, tc := range []struct {
		after, used time.Duration
		resting     bool
		left, next  time.Duration
	}{
		{0, 99 * ms, false, 50 * ms, 20 * ms}, // what was used before does not count
		{20 * ms, 20 * ms, false, 40 * ms, 20 * ms},
		{20 * ms, 40 * ms, false, 10 * ms, 5 * ms}, // at the rate of two cores it is empty in 5 ms
		{5 * ms, 17500 * time.Microsecond, true, -5 * ms, 50 * ms},
		{20 * ms, 0, true, 5 * ms, 50 * ms}, // paid back, but nothing saved
		{80 * ms, 0, true, 45 * ms, 10 * ms},
		{10 * ms, 0, false, 50 * ms, 20 * ms},
		{time.Second, 0, false, 50 * ms, 20 * ms},       // savings are limited
		{ms, time.Hour, true, -500 * ms, 50 * ms},       // as is what is owed
		{-time.Hour, 0, true, -500 * ms, 50 * ms},       // a clock that goes back gives nothing
		{time.Second, 0, true, 0, 50 * ms},              // stopped for a second, and for the savings
		{time.Second, 50 * ms, false, 50 * ms, 20 * ms}, // a look that came late
	} {
		at = at.Add(tc.after)
		next := b.step(at, tc.used)
		if b.resting != tc.resting || b.left != tc.left || next != tc.next {
			t.Errorf("step %d: resting %t, left %s, next %s; want %+v", n, b.resting, b.left, next, tc)
		}
	}
}
