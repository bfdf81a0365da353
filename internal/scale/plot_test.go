//go:build linux

package scale

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// panel is a small plot of one or two figures over the number of nodes.
type panel struct {
	title string
	lines []column
}

var panels = []panel{
	{"CPU of the controller, cores", []column{
		{"10 tasks per node", func(f figures) float64 { return f.BusyCores }},
		{"no tasks", func(f figures) float64 { return f.IdleCores }},
	}},
	{"CPU per heartbeat with 10 tasks, µs", []column{{"", func(f figures) float64 { return f.HeartbeatUS }}}},
	{"memory of the controller, MiB", []column{
		{"most ever, resident", func(f figures) float64 { return f.MostMB }},
		{"its own, at rest", func(f figures) float64 { return f.UniqueMB }},
	}},
	{"create → begun at 20 per s, ms", []column{
		{"99th of 100", func(f figures) float64 { return f.DispatchP99MS }},
		{"95th", func(f figures) float64 { return f.DispatchP95MS }},
		{"median", func(f figures) float64 { return f.DispatchP50MS }},
	}},
	{"tasks created and begun per s, 64 at a time", []column{{"", func(f figures) float64 { return f.CreatedPerS }}}},
	{"list of all nodes by REST, ms", []column{{"", func(f figures) float64 { return f.ListNodesMS }}}},
}

// Sizes in pixels.
const (
	panelWidth, panelHeight = 420, 250
	left, right, top, below = 54, 16, 34, 34
)

var colours = []string{"#1f77b4", "#d62728", "#2ca02c"}

// plot is an SVG of all panels, two in a row. Both axes of each begin at nought, so that a straight line through that is growth in
// proportion.
func plot(all []figures) []byte {
	var b bytes.Buffer
	rows := (len(panels) + 1) / 2
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", 2*panelWidth, rows*panelHeight)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d,%d)">`+"\n", i%2*panelWidth, i/2*panelHeight)
		p.draw(&b, all)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (p panel) draw(b *bytes.Buffer, all []figures) {
	var xs, ys []float64
	for _, f := range all {
		xs = append(xs, float64(f.Nodes))
		for _, l := range p.lines {
			ys = append(ys, l.of(f))
		}
	}
	maxX, maxY := ceiling(slices.Max(xs)), ceiling(slices.Max(ys))
	x := func(v float64) float64 { return left + v/maxX*(panelWidth-left-right) }
	y := func(v float64) float64 { return panelHeight - below - v/maxY*(panelHeight-top-below) }
	text := func(at, down float64, anchor, colour, s string) {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", at, down, anchor, colour, s)
	}
	text(left, top-16, "start", "black", p.title)
	for i := range 5 {
		v := maxY * float64(i) / 4
		fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1f" stroke="#ddd"/>`+"\n", x(0), y(v), x(maxX))
		text(left-5, y(v)+4, "end", "#555", short(v))
	}
	for _, v := range xs {
		text(x(v), panelHeight-below+15, "middle", "#555", short(v))
	}
	text(x(maxX/2), panelHeight-5, "middle", "#555", "nodes")
	for i, l := range p.lines {
		var points []string
		for _, f := range all {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(f.Nodes)), y(l.of(f))))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(points, " "), colours[i])
		for _, at := range points {
			cx, cy, _ := strings.Cut(at, ",")
			fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="2.5" fill="%s"/>`+"\n", cx, cy, colours[i])
		}
		text(left+8, float64(top+10+13*i), "start", colours[i], l.name)
	}
}

// ceiling is the next round number.
func ceiling(v float64) float64 {
	for unit := 1e-3; ; unit *= 10 {
		for _, m := range []float64{1, 2, 4, 5, 8, 10} {
			if v <= m*unit {
				return m * unit
			}
		}
	}
}
