package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of the numbers in a document. Checking is exact, and the time and memory for it grow with the digits that a number
// has when it is written out: a few bytes with a large exponent would ask for millions of them. No float64 needs more.
const (
	maxNumberLength = 1000 // characters as written
	maxExponent     = 400  // up or down
)

// Oversized lists the numbers of a decoded document, with its numbers as json.Number, that are too long to be looked at.
// Nothing is computed with them.
func Oversized(v any) []FieldError {
	var c check
	c.oversized("", v)
	return sorted(c.faults)
}

func (c *check) oversized(at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			c.oversized(join(at, name), field)
		}
	case []any:
		for i, item := range v {
			c.oversized(join(at, strconv.Itoa(i)), item)
		}
	case json.Number:
		if fault := numberFault(v.String()); fault != "" {
			c.add(at, "%s", fault)
		}
	}
}

func numberFault(text string) string {
	if len(text) > maxNumberLength {
		return fmt.Sprintf("the number has %d characters, at most %d are allowed", len(text), maxNumberLength)
	}
	i := strings.IndexAny(text, "eE")
	if i < 0 {
		return ""
	}
	if exponent, err := strconv.Atoi(text[i+1:]); err != nil || exponent > maxExponent || exponent < -maxExponent {
		return fmt.Sprintf("the number has the exponent %s, allowed are -%d to %d", text[i+1:], maxExponent, maxExponent)
	}
	return ""
}
