package cli

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// sizeText is "128 MiB".
func sizeText(bytes int64) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	v, unit := float64(bytes), 0
	for v >= 1024 && unit < 6 {
		v /= 1024
		unit++
	}
	if math.Round(v) >= 1024 && unit < 6 {
		v /= 1024
		unit++
	}
	digits := 0
	if v < 10 && math.Abs(v-math.Round(v)) >= 0.05 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[unit]
}

// coresText is "0.25".
func coresText(cores float64) string {
	return strconv.FormatFloat(math.Round(cores*100)/100, 'f', -1, 64)
}

// coreCount is "1 core" or "0.25 cores".
func coreCount(cores float64) string {
	if s := coresText(cores); s != "1" {
		return s + " cores"
	}
	return "1 core"
}

// ageText is the time since ms since epoch in its largest unit: "3m".
func (c *commands) ageText(ms int64) string {
	if ms == 0 {
		return ""
	}
	d := max(c.Now().Sub(time.UnixMilli(ms)), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// timeText is a point of time and how long ago it was.
func (c *commands) timeText(ms int64) string {
	if ms == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s ago)", c.clockText(ms), c.ageText(ms))
}

// clockText is a point of time.
func (c *commands) clockText(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).In(c.Now().Location()).Format("2006-01-02 15:04:05")
}

// spanText is a duration in two units at most: "340ms", "12.3s", "3m20s", "2h5m".
func spanText(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', -1, 64) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
}

// progressText is "42%, 1200 frames, stage download".
func progressText(p skalds.Progress) string {
	var parts []string
	if p.Percent > 0 {
		parts = append(parts, strconv.FormatFloat(math.Round(p.Percent*10)/10, 'f', -1, 64)+"%")
	}
	if p.Units > 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", p.Units, p.Unit)))
	}
	if p.Stage != "" {
		parts = append(parts, "stage "+p.Stage)
	}
	return strings.Join(parts, ", ")
}

// exitText explains how an attempt ended in one line.
func exitText(e *skalds.Exit) string {
	if e == nil {
		return ""
	}
	s := string(e.Kind)
	switch {
	case e.Signal != "" && e.Signal != string(e.Kind):
		s += " (" + e.Signal + ")"
	case e.Code > 0:
		s += fmt.Sprintf(" (exit code %d)", e.Code)
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Permanent {
		s += " (no retry can cure it)"
	}
	return s
}

// pairsText is "a=1, b=2".
func pairsText(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, ", ")
}

// plural is "1 task", "3 tasks", "2 retries", "2 classes".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	if strings.HasSuffix(thing, "s") {
		thing += "e"
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
