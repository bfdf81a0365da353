package cli

import (
	"fmt"
	"strconv"

	"github.com/skalds-go/skalds"
)

// heldLimit is one limit of a node, and by what it is held.
type heldLimit struct {
	name   string
	by     skalds.Mechanism
	text   string
	remedy string // where nothing holds it
}

// What has a node hold its limits.
const (
	allowGroups = "run the host as root, or in a control group that is delegated to its user (systemd: Delegate=yes)"
	allowDuty   = allowGroups + ", or set skalds_cpu_duty_cycle there"
)

// limitsHeld lists the limits of which a node says anything.
func limitsHeld(e skalds.Enforcement) []heldLimit {
	number := func(n float64) string { return strconv.FormatFloat(n, 'g', 4, 64) }
	var out []heldLimit
	for _, l := range []struct {
		name   string
		by     skalds.Enforced
		over   func(float64) string
		remedy string
	}{
		{"Memory", e.Memory, func(n float64) string { return sizeText(int64(n)) }, allowGroups},
		{"CPU", e.CPU, coreCount, allowDuty},
		{"Process", e.PIDs, number, allowGroups},
		{"IO", e.IO, number, allowGroups},
	} {
		if s := enforcedText(l.by, l.over); s != "" {
			out = append(out, heldLimit{l.name, l.by.Mechanism, s, l.remedy})
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
