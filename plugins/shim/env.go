package shim

import "strings"

// MergeEnv is base with more, which wins: programs differ in which of two values of a name they take.
func MergeEnv(base, more []string) []string {
	set := make(map[string]bool, len(more))
	for _, e := range more {
		name, _, _ := strings.Cut(e, "=")
		set[name] = true
	}
	out := make([]string, 0, len(base)+len(more))
	for _, e := range base {
		if name, _, _ := strings.Cut(e, "="); !set[name] {
			out = append(out, e)
		}
	}
	return append(out, more...)
}
