package controller

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/skalds-go/skalds"
)

// The form in which stores keep what tasks took: a row for each task and hour.

const hourMillis = 3_600_000

// UsageHour is the hour since epoch in which a time (ms) lies.
func UsageHour(at int64) int64 { return at / hourMillis }

// OrderUsage sorts samples by At, the longer Span first, and leaves out what is there twice.
func OrderUsage(samples []skalds.UsageSample) []skalds.UsageSample {
	slices.SortStableFunc(samples, func(a, b skalds.UsageSample) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(b.Span, a.Span))
	})
	return slices.CompactFunc(samples, func(a, b skalds.UsageSample) bool { return a.At == b.At && a.Span == b.Span })
}

// A point is seven numbers as varints: ms within the hour, the span in ms, CPU in thousandths of a core, memory in KiB, the
// progress in hundredths of a percent, and by how much CPU and memory were above that at their peak. One that was measured
// once a minute takes about 15 bytes.

// AppendUsage adds a sample to those of its hour.
func AppendUsage(b []byte, s skalds.UsageSample) []byte {
	cpu, memory := thousandths(s.Usage.CPUCores), wholeKiB(s.Usage.MemoryBytes)
	b = binary.AppendUvarint(b, uint64(s.At%hourMillis))
	b = binary.AppendUvarint(b, uint64(max(s.Span, 0)))
	b = binary.AppendUvarint(b, cpu)
	b = binary.AppendUvarint(b, memory)
	b = binary.AppendUvarint(b, uint64(math.Round(max(s.Progress, 0)*100)))
	b = binary.AppendUvarint(b, max(thousandths(s.Peak.CPUCores), cpu)-cpu)
	return binary.AppendUvarint(b, max(wholeKiB(s.Peak.MemoryBytes), memory)-memory)
}

func thousandths(cores float64) uint64 { return uint64(math.Round(max(cores, 0) * 1000)) }

func wholeKiB(b int64) uint64 { return uint64(max(b, 0)+512) / 1024 }

var errPoint = errors.New("its samples are cut off")

// ReadUsage adds the samples of an hour to a list.
func ReadUsage(samples []skalds.UsageSample, hour int64, b []byte) ([]skalds.UsageSample, error) {
	for len(b) > 0 {
		var v [7]uint64
		for i := range v {
			n := 0
			if v[i], n = binary.Uvarint(b); n <= 0 {
				return samples, errPoint
			}
			b = b[n:]
		}
		s := skalds.UsageSample{
			At: hour*hourMillis + int64(v[0]), Span: int64(v[1]), Progress: float64(v[4]) / 100,
			Usage: skalds.Usage{CPUCores: float64(v[2]) / 1000, MemoryBytes: int64(v[3]) << 10},
		}
		if s.Span > 0 {
			s.Peak = skalds.Usage{CPUCores: float64(v[2]+v[5]) / 1000, MemoryBytes: int64(v[3]+v[6]) << 10}
		}
		samples = append(samples, s)
	}
	return samples, nil
}
