package controller

import (
	"math"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/skalds-go/skalds"
)

func TestWhatIsRememberedOfATask(t *testing.T) {
	u := newUsageHistory()
	start := now - now%time.Minute.Milliseconds()
	var at int64
	for i := range int64(2 * 3600) { // two hours, one sample a second
		at = start + i*1000
		u.add("t", skalds.UsageSample{At: at, Usage: skalds.Usage{CPUCores: float64(i%10) / 10, MemoryBytes: (i + 1) << 20}, Progress: 50})
	}
	list := u.of("t", time.UnixMilli(at))
	moments, spans := 0, 0
	for i, s := range list {
		if i > 0 && s.At <= list[i-1].At {
			t.Fatalf("sample %d is at %d, after one at %d", i, s.At, list[i-1].At)
		}
		n := (s.At - start) / 1000
		switch s.Span {
		case 0:
			if moments++; s.Usage != (skalds.Usage{CPUCores: float64(n%10) / 10, MemoryBytes: (n + 1) << 20}) || s.Progress != 50 {
				t.Fatalf("second %d is remembered as %+v", n, s)
			}
		case 10_000:
			middle := (2*n + 11) << 20 / 2
			if spans++; s.Usage.CPUCores != 0.45 || s.Peak.CPUCores != 0.9 || s.Peak.MemoryBytes != (n+10)<<20 || math.Abs(float64(s.Usage.MemoryBytes-middle)) > 10<<10 {
				t.Fatalf("ten seconds from %d on are remembered as %+v", n, s)
			}
		default:
			t.Fatalf("a span of %d ms", s.Span)
		}
	}
	if moments != momentsKept || spans != stepsKept-12 || at-list[0].At > time.Hour.Milliseconds() { // 12 are there as moments
		t.Errorf("%d moments and %d spans, from %s back on", moments, spans, time.Duration(at-list[0].At)*time.Millisecond)
	}
	s := u.tasks["t"]
	if got := s.bytes(); got != u.bytes || got != momentsKept*16+stepsKept*24 {
		t.Errorf("a series in full takes %d bytes, counted are %d", got, u.bytes)
	}
	if m, st := unsafe.Sizeof(moment{}), unsafe.Sizeof(usageStep{}); m != 16 || st != 24 {
		t.Errorf("a moment takes %d bytes, a step %d", m, st)
	}
	if list := u.of("t", time.UnixMilli(at).Add(2*time.Hour)); len(list) != 0 {
		t.Errorf("%d samples are older than an hour", len(list))
	}
}

func TestTheMemoryOfUsageIsBounded(t *testing.T) {
	u := newUsageHistory()
	u.limit = 20_000 // two series in full
	for i := range int64(3600) {
		for _, id := range []string{"a", "b", "c", "d"} {
			u.add(id, skalds.UsageSample{At: now + i*1000})
		}
	}
	total := 0
	for id, s := range u.tasks {
		total += s.bytes()
		list := u.of(id, time.UnixMilli(now+3600_000))
		if n := len(list); n < firstPoints || list[n-1].At != now+3599_000 {
			t.Errorf("%s has %d samples, the last at %d", id, n, list[n-1].At-now)
		}
	}
	if total != u.bytes || total > u.limit {
		t.Errorf("%d bytes are in use, counted %d, at most %d", total, u.bytes, u.limit)
	}
	if u.sweep(time.UnixMilli(now + 3600_000)); len(u.tasks) != 4 {
		t.Error("what is measured was forgotten")
	}
	if u.sweep(time.UnixMilli(now + 3*3600_000)); len(u.tasks) != 0 || u.bytes != 0 {
		t.Errorf("%d series and %d bytes are left of tasks that are gone", len(u.tasks), u.bytes)
	}
}

func TestPendingUsage(t *testing.T) {
	u := newUsageHistory()
	minute := time.Minute.Milliseconds()
	start := now - now%minute
	add := func(id string, from, to int64) {
		for at := start + from*1000; at < start+to*1000; at += 1000 {
			u.add(id, skalds.UsageSample{At: at, Usage: skalds.Usage{CPUCores: 1, MemoryBytes: 1 << 20}})
		}
	}
	add("runs", 30, 300)
	add("ended", 0, 100)
	pending := func(from, to int64) (map[string][]skalds.UsageSample, map[string]int64) {
		pieces, closed := u.pending(start+from*1000, start+to*1000, time.UnixMilli(start+to*1000))
		out := map[string][]skalds.UsageSample{}
		for _, p := range pieces {
			out[p.TaskID] = p.Samples
		}
		return out, closed
	}
	of := func(from, span int64) skalds.UsageSample {
		usage := skalds.Usage{CPUCores: 1, MemoryBytes: 1 << 20}
		return skalds.UsageSample{At: start + from*1000, Usage: usage, Peak: usage, Span: span * 1000}
	}
	got, closed := pending(0, 120)
	want := map[string][]skalds.UsageSample{"runs": {of(30, 30), of(60, 60)}, "ended": {of(0, 60), of(60, 40)}}
	if !reflect.DeepEqual(got, want) || len(closed) != 0 {
		t.Errorf("after two minutes %+v, closed %v", got, closed)
	}
	got, closed = pending(120, 300)
	if want := []skalds.UsageSample{of(120, 60), of(180, 60), of(240, 60)}; !reflect.DeepEqual(got["runs"], want) {
		t.Errorf("minutes that could not be stored in their time: %+v", got["runs"])
	}
	if list := got["ended"]; len(closed) != 1 || len(list) != 100 || list[0].Span != 0 || list[99].At != start+99_000 {
		t.Errorf("%v is closed with %d samples", closed, len(list))
	}
	add("ended", 299, 300) // it runs again
	if u.forget(closed); len(u.tasks) != 2 {
		t.Error("a task was forgotten that is measured again")
	}
	if _, closed = pending(300, 600); len(closed) != 2 {
		t.Errorf("closed %v", closed)
	}
	if u.forget(closed); len(u.tasks) != 0 || u.bytes != 0 {
		t.Errorf("%d series are left", len(u.tasks))
	}
}

func TestCurvesOfDifferentFineness(t *testing.T) {
	at := func(second, span int64) skalds.UsageSample {
		return skalds.UsageSample{At: second * 1000, Span: span * 1000}
	}
	minutes := []skalds.UsageSample{at(0, 60), at(60, 60), at(120, 60), at(180, 30)}
	steps := []skalds.UsageSample{at(120, 10), at(130, 10), at(140, 10), at(180, 10), at(190, 10), at(200, 10)}
	moments := []skalds.UsageSample{at(141, 0), at(142, 0), at(191, 0), at(192, 0), at(200, 0), at(201, 0)}
	var got []int64
	for _, s := range joinUsage(moments, minutes, steps) {
		got = append(got, s.At/1000)
	}
	if want := []int64{0, 60, 120, 130, 141, 142, 180, 191, 192, 200, 201}; !reflect.DeepEqual(got, want) {
		t.Errorf("samples at %v, want %v", got, want)
	}
	if list := tailOf(minutes, time.Minute); len(list) != 2 || list[0].At != 120_000 {
		t.Errorf("the last minute: %+v", list)
	}
	if len(joinUsage()) != 0 || len(tailOf(nil, time.Minute)) != 0 {
		t.Error("something out of nothing")
	}
}

// A clock that is set back makes nothing worse than a curve in another order.
func TestUsageWhileTheClockIsSetBack(t *testing.T) {
	u := newUsageHistory()
	for _, at := range []int64{now, now + 1000, now - 60_000, now - 59_000} {
		u.add("t", skalds.UsageSample{At: at})
	}
	if list := u.of("t", time.UnixMilli(now)); len(list) != 4 || list[0].At != now-60_000 || list[3].At != now+1000 {
		t.Errorf("%+v", list)
	}
}
