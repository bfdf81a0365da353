package cli

import (
	"math"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// curveText says in words how memory went before an end: "memory 60→128 MiB in the last 3.2s". The time is that of the rise,
// not of all that was measured.
func curveText(curve []skalds.UsageSample) string {
	if len(curve) < 2 {
		return ""
	}
	end := curve[len(curve)-1]
	low, high := end.Usage.MemoryBytes, end.Usage.MemoryBytes
	for _, s := range curve {
		low, high = min(low, s.Usage.MemoryBytes), max(high, s.Usage.MemoryBytes)
	}
	if float64(high-low) < 0.05*float64(high) {
		return "memory " + sizeText(end.Usage.MemoryBytes) + " throughout the last " + before(curve[0], end)
	}
	start := low
	if end.Usage.MemoryBytes-low < high-end.Usage.MemoryBytes {
		start = high
	}
	from := curve[0]
	for _, s := range curve {
		if math.Abs(float64(s.Usage.MemoryBytes-start)) <= 0.1*math.Abs(float64(end.Usage.MemoryBytes-start)) {
			from = s
		}
	}
	a, b := sizeText(from.Usage.MemoryBytes), sizeText(end.Usage.MemoryBytes)
	if unit := b[strings.LastIndex(b, " "):]; strings.HasSuffix(a, unit) {
		a = strings.TrimSuffix(a, unit)
	}
	return "memory " + a + "→" + b + " in the last " + before(from, end)
}

func before(from, end skalds.UsageSample) string {
	return spanText(time.Duration(end.At-from.At) * time.Millisecond)
}
