package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// value is what an experiment found.
type value struct {
	value     float64
	reference time.Duration // what value is a ratio to; 0: it is none
	n         int           // how often it was measured
	leftOut   string        // why it cannot be measured on this machine; empty: it was
}

// result is an entry of bench.json.
type result struct {
	Value       float64  `json:"value"`
	Bound       *float64 `json:"bound"` // null: it is reported only
	OK          bool     `json:"ok"`
	ReferenceMS float64  `json:"reference_ms,omitempty"`
	N           int      `json:"n"`
	Load        float64  `json:"load"` // of the last minute, when the measurement ended
}

func (v value) judge(p promise) result {
	r := result{Value: v.value, OK: true, ReferenceMS: milliseconds(v.reference), N: v.n, Load: load()}
	if p.unbound {
		return r
	}
	r.Bound, r.OK = &p.bound, v.value <= p.bound
	if p.atLeast {
		r.OK = v.value >= p.bound
	}
	return r
}

const rowFormat = "%-38s %10s %8s %5s %12s %6v %6s\n"

func (r result) print(out io.Writer, p promise) {
	verdict, bound, reference := "ok", fmt.Sprintf("≤ %g", p.bound), "-"
	if p.atLeast {
		bound = fmt.Sprintf("≥ %g", p.bound)
	}
	switch {
	case p.unbound:
		verdict, bound = "", "report"
	case r.OK:
	case p.atLeast:
		verdict = "UNDER"
	default:
		verdict = "OVER"
	}
	if r.ReferenceMS > 0 {
		reference = fmt.Sprintf("%.2f ms", r.ReferenceMS)
	}
	fmt.Fprintf(out, rowFormat, p.key, fmt.Sprintf("%.3g", r.Value), bound, verdict, reference, r.N, fmt.Sprintf("%.2f", r.Load))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile is the smallest measured duration that at least the share q of all does not exceed.
func quantile(ds []time.Duration, q float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(ds))
	i := int(q*float64(len(s))+0.999999) - 1
	return s[min(max(i, 0), len(s)-1)]
}

func median(ds []time.Duration) time.Duration { return quantile(ds, 0.5) }

// load is the load average of the last minute; 0 where the system does not tell.
func load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var l float64
	if _, err := fmt.Fscan(strings.NewReader(string(b)), &l); err != nil {
		return 0
	}
	return l
}
