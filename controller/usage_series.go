package controller

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// What is remembered of a task's usage: every sample of the last two minutes at one a second, and averages and peaks of ten
// seconds for the last hour. A series in full is 120 × 16 + 360 × 24 = 10,560 bytes.
const (
	momentsKept = 120
	stepsKept   = 360
	firstPoints = 8 // places of a new series, of either kind; 320 bytes
	stepSpan    = 10 * time.Second
)

// moment is one sample. Times are the lower 32 bits of ms since epoch: a series spans an hour, 32 bits are 49 days.
type moment struct {
	at       uint32
	cpu      float32
	memory   uint32 // KiB
	progress float32
}

// usageStep is what was measured in ten seconds.
type usageStep struct {
	at              uint32 // of its beginning
	count, progress uint16 // progress in hundredths of a percent
	cpu, cpuPeak    float32
	memory          uint32 // KiB; average
	memoryPeak      uint32 // KiB
}

// ring keeps the newest items. It grows up to a limit, as far as it is allowed to, and then overwrites its oldest.
type ring[T any] struct {
	items []T
	head  int // the oldest, once it overwrites
}

// push adds an item. mayGrow is asked for room for so many items more.
func (r *ring[T]) push(v T, limit int, mayGrow func(items int) bool) {
	n := len(r.items)
	if n == cap(r.items) && n < limit {
		if want := min(max(2*n, firstPoints), limit); n == 0 || mayGrow(want-n) {
			r.items, r.head = append(append(make([]T, 0, want), r.items[r.head:]...), r.items[:r.head]...), 0
		}
	}
	if n < cap(r.items) {
		r.items = append(r.items, v)
		return
	}
	r.items[r.head] = v
	r.head = (r.head + 1) % n
}

// at is the i-th item, the oldest first.
func (r *ring[T]) at(i int) *T { return &r.items[(r.head+i)%len(r.items)] }

// series is what is remembered of one task.
type series struct {
	moments ring[moment]
	steps   ring[usageStep]
	newest  int64 // ms since epoch, of the last sample
}

// time undoes the cutting of a time to 32 bits.
func (s *series) time(at uint32) int64 { return s.newest - int64(int32(uint32(s.newest)-at)) }

// add takes a sample. grown is told how many bytes more there are, and refuses them by false.
func (s *series) add(u skalds.UsageSample, mayGrow func(bytes int) bool) {
	s.newest = u.At
	m := moment{uint32(u.At), float32(u.Usage.CPUCores), kibibytes(u.Usage.MemoryBytes), float32(u.Progress)}
	s.moments.push(m, momentsKept, func(items int) bool { return mayGrow(16 * items) })
	from := uint32(u.At - u.At%stepSpan.Milliseconds())
	if n := len(s.steps.items); n > 0 {
		if last := s.steps.at(n - 1); last.at == from && last.count < math.MaxUint16 {
			last.take(m)
			return
		}
	}
	s.steps.push(usageStep{at: from}, stepsKept, func(items int) bool { return mayGrow(24 * items) })
	s.steps.at(len(s.steps.items) - 1).take(m)
}

func (s *usageStep) take(m moment) {
	s.count++
	n := float64(s.count)
	s.cpu += float32((float64(m.cpu) - float64(s.cpu)) / n)
	s.memory = uint32(int64(s.memory) + int64(math.Round((float64(m.memory)-float64(s.memory))/n)))
	s.cpuPeak, s.memoryPeak = max(s.cpuPeak, m.cpu), max(s.memoryPeak, m.memory)
	s.progress = uint16(math.Round(float64(min(max(m.progress, 0), 100)) * 100))
}

// kibibytes fits 4 TiB into 32 bits.
func kibibytes(b int64) uint32 { return uint32(min(max(b, 0)>>10, math.MaxUint32)) }

// cores is a figure as it was before it was cut to 32 bits, but for what is smaller than a ten-thousandth.
func cores(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// recent lists the samples since from (ms) as they are kept, one by one.
func (s *series) recent(from int64) []skalds.UsageSample {
	var out []skalds.UsageSample
	for i := range s.moments.items {
		m := s.moments.at(i)
		if at := s.time(m.at); at >= from {
			out = append(out, skalds.UsageSample{
				At: at, Usage: skalds.Usage{CPUCores: cores(float64(m.cpu)), MemoryBytes: int64(m.memory) << 10}, Progress: cores(float64(m.progress)),
			})
		}
	}
	return out
}

// averages lists what was measured from one time (ms) to before another in pieces of a span that is a multiple of ten
// seconds. A piece begins with its first measurement.
func (s *series) averages(from, to int64, span time.Duration) []skalds.UsageSample {
	var out []skalds.UsageSample
	var n int64 // measurements in the last piece
	piece := int64(-1)
	for i := range s.steps.items {
		p := s.steps.at(i)
		at := s.time(p.at)
		if at < from || at >= to {
			continue
		}
		if which := at / span.Milliseconds(); which != piece {
			piece, n = which, 0
			out = append(out, skalds.UsageSample{At: at})
		}
		o := &out[len(out)-1]
		n += int64(p.count)
		share := float64(p.count) / float64(n)
		o.Usage.CPUCores += (float64(p.cpu) - o.Usage.CPUCores) * share
		o.Usage.MemoryBytes += int64(float64(int64(p.memory)<<10-o.Usage.MemoryBytes) * share)
		o.Peak = o.Peak.Max(skalds.Usage{CPUCores: float64(p.cpuPeak), MemoryBytes: int64(p.memoryPeak) << 10})
		o.Progress, o.Span = float64(p.progress)/100, at-o.At+stepSpan.Milliseconds()
	}
	for i := range out {
		out[i].Usage.CPUCores, out[i].Peak.CPUCores = cores(out[i].Usage.CPUCores), cores(out[i].Peak.CPUCores)
	}
	return out
}

// joinUsage puts samples of different fineness into one curve, by time. A coarse one gives way to a finer one near its
// beginning.
func joinUsage(lists ...[]skalds.UsageSample) []skalds.UsageSample {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b skalds.UsageSample) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Span, b.Span)) })
	out := all[:0:0]
	for i, s := range all {
		if n := len(out); n > 0 && out[n-1].At == s.At {
			continue // the finer one stands there
		}
		finer := false
		for _, next := range all[i+1:] {
			if next.At > s.At+s.Span/6 {
				break
			}
			if finer = next.Span < s.Span; finer {
				break
			}
		}
		if !finer {
			out = append(out, s)
		}
	}
	return out
}

// tailOf cuts a curve to the time before its newest sample.
func tailOf(list []skalds.UsageSample, last time.Duration) []skalds.UsageSample {
	if len(list) == 0 {
		return list
	}
	from := list[len(list)-1].At - last.Milliseconds()
	return list[slices.IndexFunc(list, func(s skalds.UsageSample) bool { return s.At >= from }):]
}
