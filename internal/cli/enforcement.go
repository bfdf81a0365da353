package cli

import (
	"fmt"
	"strconv"

	"github.com/skalds-go/skalds"
)

// heldLimit is one limit of a node, and by what it is held.
type heldLimit struct {
	name string
	by   skalds.Mechanism
	text string
}

// limitsHeld lists the limits of which a node says anything.
func limitsHeld(e skalds.Enforcement) []heldLimit {
	number := func(n float64) string { return strconv.FormatFloat(n, 'g', 4, 64) }
	var out []heldLimit
	for _, l := range []struct {
		name string
		by   skalds.Enforced
		over func(float64) string
	}{
		{"Memory", e.Memory, func(n float64) string { return sizeText(int64(n)) }},
		{"CPU", e.CPU, coreCount},
		{"Process", e.PIDs, number},
		{"IO", e.IO, number},
	} {
		if s := enforcedText(l.by, l.over); s != "" {
			out = append(out, heldLimit{l.name, l.by.Mechanism, s})
		}
	}
	return out
}

// enforcedText is "held by watchdog, overshoot allocation rate × 0.15 s; seen: 1.2 MiB over at most, 3 kills".
func enforcedText(e skalds.Enforced, over func(float64) string) string {
	var s string
	switch e.Mechanism {
	case "":
		return ""
	case skalds.MechanismNone:
		s = "not held"
	default:
		s = "held by " + string(e.Mechanism)
		if e.Overshoot != "" {
			s += ", overshoot " + e.Overshoot
		}
	}
	var seen string
	if e.MaxOver > 0 {
		seen = over(e.MaxOver) + " over at most"
	}
	if e.Kills > 0 {
		if seen != "" {
			seen += ", "
		}
		seen += plural(e.Kills, "kill")
	}
	if seen != "" {
		s += fmt.Sprintf("; seen: %s", seen)
	}
	return s
}
