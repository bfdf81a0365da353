package cli

import (
	"testing"

	"github.com/skalds-go/skalds"
)

func TestCurveText(t *testing.T) {
	curve := func(pairs ...int64) (out []skalds.UsageSample) { // ms and MiB
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, skalds.UsageSample{At: 1_800_000_000_000 + pairs[i], Usage: skalds.Usage{MemoryBytes: pairs[i+1] << 20}})
		}
		return out
	}
	for want, points := range map[string][]skalds.UsageSample{
		"":                                       curve(0, 5),
		"memory 60→128 MiB in the last 3.2s":     curve(0, 60, 10_000, 62, 20_000, 60, 21_000, 80, 23_200, 128),
		"memory 512 MiB→2 GiB in the last 1s":    curve(0, 512, 1000, 2048),
		"memory 128 MiB throughout the last 30s": curve(0, 127, 10_000, 128, 30_000, 128),
		"memory 90→20 MiB in the last 100ms":     curve(0, 90, 5000, 90, 5100, 20),
		"memory 100→250 MiB in the last 500ms":   curve(0, 300, 1000, 100, 1500, 250),
	} {
		if got := curveText(points); got != want {
			t.Errorf("%v: %q, want %q", points, got, want)
		}
	}
}
