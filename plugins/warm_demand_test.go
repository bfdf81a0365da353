package plugins

import (
	"testing"
	"time"
)

func TestWarmDemand(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var d warmDemand
	if n := d.wanted(begin, 8); n != 0 {
		t.Errorf("wanted %d of what nobody has asked for", n)
	}
	d.arrive(begin, 1)
	if n := d.wanted(begin, 8); n != 1 {
		t.Errorf("wanted %d after one launch", n)
	}
	now := begin
	for range 200 { // 10 a second
		now = now.Add(100 * time.Millisecond)
		d.arrive(now, 1)
	}
	if rate := d.at(now); rate < 7 || rate > 11 {
		t.Errorf("a rate of %.1f", rate)
	}
	if n := d.wanted(now, 100); n < 14 || n > 23 {
		t.Errorf("wanted %d", n)
	}
	if n := d.wanted(now, 8); n != 8 {
		t.Errorf("wanted %d, more than may be", n)
	}
	if n := d.wanted(now.Add(50*time.Second), 8); n != 1 {
		t.Errorf("wanted %d when it has become quiet", n)
	}
	if n := d.wanted(now.Add(warmFor+time.Second), 8); n != 0 {
		t.Errorf("wanted %d of what nobody asks for any more", n)
	}
}
