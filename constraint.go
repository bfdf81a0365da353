package skalds

import (
	"fmt"
	"strings"
)

// Constraint is one condition on a node's labels: "zone=a", "arch!=arm64" or "gpu" (the label exists and is not "false").
type Constraint struct {
	Key   string
	Value string
	Op    string // "=", "!=" or "" (exists)
}

// ParseConstraint reads one constraint.
func ParseConstraint(s string) (Constraint, error) {
	if k, v, ok := strings.Cut(s, "!="); ok {
		return constraint(s, k, "!=", v)
	}
	if k, v, ok := strings.Cut(s, "="); ok {
		return constraint(s, k, "=", v)
	}
	return constraint(s, s, "", "")
}

func constraint(src, key, op, value string) (Constraint, error) {
	c := Constraint{Key: strings.TrimSpace(key), Op: op, Value: strings.TrimSpace(value)}
	if c.Key == "" || strings.ContainsAny(c.Key, "!=") || (op != "" && c.Value == "") {
		return c, fmt.Errorf("%s is no constraint: write key=value, key!=value or key", quoted(src))
	}
	return c, nil
}

// Matches reports whether labels satisfy c.
func (c Constraint) Matches(labels map[string]string) bool {
	v, ok := labels[c.Key]
	switch c.Op {
	case "=":
		return ok && v == c.Value
	case "!=":
		return !ok || v != c.Value
	default:
		return ok && v != "false"
	}
}

func (c Constraint) String() string { return c.Key + c.Op + c.Value }
