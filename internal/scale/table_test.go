//go:build linux

package scale

import (
	"fmt"
	"strings"
)

// column is a figure with its name.
type column struct {
	name string
	of   func(figures) float64
}

var columns = []column{
	{"nodes", func(f figures) float64 { return float64(f.Nodes) }},
	{"tasks that run", func(f figures) float64 { return float64(f.Tasks) }},
	{"all nodes online after, s", func(f figures) float64 { return f.JoinS }},
	{"cores, no tasks", func(f figures) float64 { return f.IdleCores }},
	{"cores, all tasks", func(f figures) float64 { return f.BusyCores }},
	{"CPU per heartbeat, µs", func(f figures) float64 { return f.HeartbeatUS }},
	{"heartbeats per s", func(f figures) float64 { return f.BeatsPerS }},
	{"own memory, MiB", func(f figures) float64 { return f.UniqueMB }},
	{"most resident memory, MiB", func(f figures) float64 { return f.MostMB }},
	{"tasks created and begun per s", func(f figures) float64 { return f.CreatedPerS }},
	{"cores meanwhile", func(f figures) float64 { return f.FillCores }},
	{"cores of all nodes together meanwhile", func(f figures) float64 { return f.FleetCores }},
	{"create → begun meanwhile, ms: median", func(f figures) float64 { return f.FillP50MS }},
	{"– 99th of 100", func(f figures) float64 { return f.FillP99MS }},
	{"create → answer at 20 per s, ms: median", func(f figures) float64 { return f.AnswerP50MS }},
	{"create → begun at 20 per s, ms: median", func(f figures) float64 { return f.DispatchP50MS }},
	{"– 95th of 100", func(f figures) float64 { return f.DispatchP95MS }},
	{"– 99th of 100", func(f figures) float64 { return f.DispatchP99MS }},
	{"GET /api/nodes/, ms", func(f figures) float64 { return f.ListNodesMS }},
	{"GET /api/tasks/?pageSize=100, ms", func(f figures) float64 { return f.ListTasksMS }},
	{"load", func(f figures) float64 { return f.Load }},
}

// table is one of Markdown, with a column for each size.
func table(all []figures) string {
	var b strings.Builder
	for i, c := range columns {
		fmt.Fprintf(&b, "| %s |", c.name)
		for _, f := range all {
			fmt.Fprintf(&b, " %s |", short(c.of(f)))
		}
		b.WriteByte('\n')
		if i == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", len(all)+1) + "\n")
		}
	}
	return b.String()
}

// short has three digits.
func short(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
