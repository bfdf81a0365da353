package cli

import (
	"strings"

	"github.com/skalds-go/skalds"
)

// isolationText is what a task asks to be kept from, in one line.
func isolationText(i skalds.Isolation) string {
	var parts []string
	if i.User != "" {
		parts = append(parts, "user "+i.User)
	}
	if len(i.Namespaces) > 0 {
		parts = append(parts, "own namespaces "+joined(i.Namespaces))
	}
	if p := i.Paths; p != nil {
		if len(p.ReadOnly) > 0 {
			parts = append(parts, "reads "+strings.Join(p.ReadOnly, ", "))
		}
		if len(p.ReadWrite) > 0 {
			parts = append(parts, "writes "+strings.Join(p.ReadWrite, ", "))
		}
		if len(p.ReadOnly)+len(p.ReadWrite) == 0 {
			parts = append(parts, "no paths but those it needs")
		}
	}
	if i.NoNewPrivileges {
		parts = append(parts, "no new privileges")
	}
	return strings.Join(parts, "; ")
}

// abilities sorts what a node can do and what it cannot, with the reason.
func abilities(a skalds.NodeAbilities) (can []skalds.Ability, cannot []string) {
	for _, name := range skalds.Abilities() {
		reason, said := a[name]
		switch {
		case said && reason == "":
			can = append(can, name)
		case said:
			cannot = append(cannot, string(name)+": "+reason)
		}
	}
	return can, cannot
}

// checkIsolation says what tasks of a host of this user could be kept from. Few need it, so what is missing is no warning.
func checkIsolation(out *findings, a skalds.NodeAbilities) {
	can, cannot := abilities(a)
	text := "a host of this user can do nothing"
	if len(can) > 0 {
		text = "a host of this user can do " + joined(can)
	}
	if len(cannot) > 0 {
		text += "; not " + strings.Join(cannot, "; not ")
	}
	out.add(healthOK, "isolation", "", "%s", text)
}

func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}
