package plugins

import (
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func TestUsageRing(t *testing.T) {
	start := time.UnixMilli(1_800_000_000_000)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	check := func(t *testing.T, r *usageRing, points int, first, last time.Duration) []skalds.UsageSample {
		t.Helper()
		c := r.curve()
		if len(c) != points {
			t.Fatalf("%d points, want %d: %v", len(c), points, c)
		}
		for i := 1; i < len(c); i++ {
			if c[i].At <= c[i-1].At {
				t.Errorf("point %d is at %d, after one at %d", i, c[i].At, c[i-1].At)
			}
		}
		if points > 0 && (c[0].At != at(first).UnixMilli() || c[points-1].At != at(last).UnixMilli()) {
			t.Errorf("from %d to %d", c[0].At-start.UnixMilli(), c[points-1].At-start.UnixMilli())
		}
		return c
	}
	t.Run("nothing", func(t *testing.T) { check(t, &usageRing{}, 0, 0, 0) })
	t.Run("rounds only", func(t *testing.T) {
		r := &usageRing{}
		for i := range 100 {
			r.round(at(time.Duration(i)*time.Second), skalds.Usage{CPUCores: float64(i), MemoryBytes: int64(i)})
		}
		if c := check(t, r, curvePoints/2, 70*time.Second, 99*time.Second); c[0].Usage != (skalds.Usage{CPUCores: 70, MemoryBytes: 70}) {
			t.Errorf("the oldest is %+v", c[0])
		}
	})
	t.Run("after its death", func(t *testing.T) {
		r := &usageRing{}
		r.round(at(0), skalds.Usage{MemoryBytes: 5})
		r.watch(at(time.Second), 6)
		r.round(at(2*time.Second), skalds.Usage{}) // by a kill that was not ours
		r.watch(at(3*time.Second), 0)
		check(t, r, 2, 0, time.Second)
		r.close()
		r.round(at(5*time.Second), skalds.Usage{MemoryBytes: 4})
		r.watch(at(6*time.Second), 4)
		check(t, r, 2, 0, time.Second)
	})
	t.Run("watchdog and rounds", func(t *testing.T) {
		r := &usageRing{}
		for i := range 1000 { // a look every 100 ms, a round every second
			now := at(time.Duration(i) * 100 * time.Millisecond)
			if i%10 == 5 {
				r.round(now, skalds.Usage{CPUCores: 2, MemoryBytes: -1}) // counted otherwise than the watchdog counts
			}
			r.watch(now, int64(i+1))
		}
		c := check(t, r, 56, 73800*time.Millisecond, 99900*time.Millisecond)
		for _, s := range c {
			if s.Usage.MemoryBytes < 0 || s.Usage.CPUCores != 2 {
				t.Errorf("a point of both kinds: %+v", s)
			}
		}
		if step := c[55].At - c[54].At; step != 100 {
			t.Errorf("the newest are %d ms apart", step)
		}
	})
}
