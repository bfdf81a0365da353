package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Check lists everything that is wrong with a document, sorted by field; an empty one counts as {}. It knows the keywords
// that Of writes. Others, which a type with a JSONSchema method may bring in, are left to the host.
func Check(schema, doc json.RawMessage) ([]FieldError, error) {
	var r rules
	if err := decode(schema, &r); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	if text := bytes.TrimSpace(doc); len(text) == 0 || bytes.Equal(text, []byte("null")) {
		doc = json.RawMessage("{}")
	}
	var v any
	if err := decode(doc, &v); err != nil {
		return []FieldError{{"", "no valid JSON: " + err.Error()}}, nil
	}
	if faults := Oversized(v); len(faults) > 0 {
		return faults, nil
	}
	var c check
	if err := c.value("", &r, v); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return sorted(c.faults), nil
}

// decode reads one JSON value and keeps numbers as they are written.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("text after the JSON value")
	}
	return nil
}

func sorted(faults []FieldError) []FieldError {
	slices.SortFunc(faults, func(a, b FieldError) int { return strings.Compare(a.Field+a.Message, b.Field+b.Message) })
	return slices.Compact(faults)
}

// rules are the keywords of one schema.
type rules struct {
	never bool // the schema is false

	Type  names   `json:"type"`
	Const *any    `json:"const"`
	Enum  []any   `json:"enum"`
	AllOf []rules `json:"allOf"`
	AnyOf []rules `json:"anyOf"`
	OneOf []rules `json:"oneOf"`
	Not   *rules  `json:"not"`

	Properties           map[string]*rules `json:"properties"`
	PatternProperties    map[string]*rules `json:"patternProperties"`
	AdditionalProperties *rules            `json:"additionalProperties"`
	Required             []string          `json:"required"`
	MinProperties        *int              `json:"minProperties"`
	MaxProperties        *int              `json:"maxProperties"`

	Items       *rules `json:"items"`
	MinItems    *int   `json:"minItems"`
	MaxItems    *int   `json:"maxItems"`
	UniqueItems bool   `json:"uniqueItems"`

	MinLength *int   `json:"minLength"`
	MaxLength *int   `json:"maxLength"`
	Pattern   string `json:"pattern"`

	Minimum          json.Number `json:"minimum"`
	Maximum          json.Number `json:"maximum"`
	ExclusiveMinimum json.Number `json:"exclusiveMinimum"`
	ExclusiveMaximum json.Number `json:"exclusiveMaximum"`
	MultipleOf       json.Number `json:"multipleOf"`
}

// UnmarshalJSON reads an object, true (anything fits) or false (nothing does).
func (r *rules) UnmarshalJSON(b []byte) error {
	if text := string(bytes.TrimSpace(b)); text == "true" || text == "false" {
		*r = rules{never: text == "false"}
		return nil
	}
	type plain rules
	return decode(b, (*plain)(r))
}

// names is a string or a list of them.
type names []string

func (n *names) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte(`"`)) {
		*n = names{""}
		return json.Unmarshal(b, &(*n)[0])
	}
	return json.Unmarshal(b, (*[]string)(n))
}

// check collects faults. Its methods fail where the schema itself cannot be used.
type check struct{ faults []FieldError }

func (c *check) add(at, format string, args ...any) {
	c.faults = append(c.faults, FieldError{at, fmt.Sprintf(format, args...)})
}

// value checks one value. One of the wrong type, or that is none of the allowed ones, is not looked into any further.
func (c *check) value(at string, r *rules, v any) error {
	if r.never {
		c.add(at, "false schema")
		return nil
	}
	is := typeOf(v)
	if len(r.Type) > 0 && !slices.Contains(r.Type, is) && !(slices.Contains(r.Type, "integer") && isInteger(v)) {
		c.add(at, "got %s, want %s", is, strings.Join(r.Type, " or "))
		return nil
	}
	if r.Const != nil && !equal(v, *r.Const) {
		c.add(at, "value must be %s", show(*r.Const))
		return nil
	}
	if r.Enum != nil && !slices.ContainsFunc(r.Enum, func(e any) bool { return equal(v, e) }) {
		shown := make([]string, len(r.Enum))
		for i, e := range r.Enum {
			shown[i] = show(e)
		}
		if len(shown) == 1 {
			c.add(at, "value must be %s", shown[0])
		} else {
			c.add(at, "value must be one of %s", strings.Join(shown, ", "))
		}
		return nil
	}
	var err error
	switch v := v.(type) {
	case map[string]any:
		err = c.object(at, r, v)
	case []any:
		err = c.array(at, r, v)
	case string:
		err = c.text(at, r, v)
	case json.Number:
		err = c.number(at, r, v)
	}
	if err != nil {
		return err
	}
	return c.combined(at, r, v)
}

func (c *check) object(at string, r *rules, v map[string]any) error {
	c.count(at, "Properties", len(v), r.MinProperties, r.MaxProperties)
	for _, name := range r.Required {
		if _, ok := v[name]; !ok {
			c.add(join(at, name), "is missing")
		}
	}
	for name, field := range v {
		known := false
		if p, ok := r.Properties[name]; ok {
			known = true
			if err := c.value(join(at, name), p, field); err != nil {
				return err
			}
		}
		for pattern, p := range r.PatternProperties {
			re, err := regexp.Compile(pattern)
			if err != nil {
				return err
			}
			if !re.MatchString(name) {
				continue
			}
			known = true
			if err := c.value(join(at, name), p, field); err != nil {
				return err
			}
		}
		switch a := r.AdditionalProperties; {
		case known || a == nil:
		case a.never:
			c.add(join(at, name), "is unknown")
		default:
			if err := c.value(join(at, name), a, field); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *check) array(at string, r *rules, v []any) error {
	c.count(at, "Items", len(v), r.MinItems, r.MaxItems)
	for i, item := range v {
		if r.UniqueItems {
			if j := slices.IndexFunc(v[:i], func(o any) bool { return equal(item, o) }); j >= 0 {
				c.add(at, "items at %d and %d are equal", j, i)
			}
		}
		if r.Items == nil {
			continue
		}
		if err := c.value(join(at, strconv.Itoa(i)), r.Items, item); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) text(at string, r *rules, v string) error {
	c.count(at, "Length", utf8.RuneCountInString(v), r.MinLength, r.MaxLength)
	if r.Pattern == "" {
		return nil
	}
	re, err := regexp.Compile(r.Pattern)
	if err != nil {
		return err
	}
	if !re.MatchString(v) {
		c.add(at, "%s does not match pattern %s", show(v), show(r.Pattern))
	}
	return nil
}

func (c *check) number(at string, r *rules, v json.Number) error {
	got, ok := rational(v)
	if !ok {
		return nil // too large: Oversized has said so
	}
	for _, b := range []struct {
		keyword string
		bound   json.Number
		broken  func(want *big.Rat) bool
	}{
		{"minimum", r.Minimum, func(want *big.Rat) bool { return got.Cmp(want) < 0 }},
		{"maximum", r.Maximum, func(want *big.Rat) bool { return got.Cmp(want) > 0 }},
		{"exclusiveMinimum", r.ExclusiveMinimum, func(want *big.Rat) bool { return got.Cmp(want) <= 0 }},
		{"exclusiveMaximum", r.ExclusiveMaximum, func(want *big.Rat) bool { return got.Cmp(want) >= 0 }},
		{"multipleOf", r.MultipleOf, func(want *big.Rat) bool { return want.Sign() != 0 && !new(big.Rat).Quo(got, want).IsInt() }},
	} {
		if b.bound == "" {
			continue
		}
		want, ok := rational(b.bound)
		if !ok {
			return fmt.Errorf("%s: %s is no number", b.keyword, b.bound)
		}
		if b.broken(want) {
			c.add(at, "%s: got %s, want %s", b.keyword, v, b.bound)
		}
	}
	return nil
}

func (c *check) combined(at string, r *rules, v any) error {
	for i := range r.AllOf {
		if err := c.value(at, &r.AllOf[i], v); err != nil {
			return err
		}
	}
	for _, some := range []struct {
		of  []rules
		one bool
	}{{r.AnyOf, false}, {r.OneOf, true}} {
		var failed check
		var fits []int
		for i := range some.of {
			var branch check
			if err := branch.value(at, &some.of[i], v); err != nil {
				return err
			}
			if len(branch.faults) == 0 {
				fits = append(fits, i)
			}
			failed.faults = append(failed.faults, branch.faults...)
		}
		switch {
		case len(some.of) > 0 && len(fits) == 0:
			c.faults = append(c.faults, failed.faults...)
		case some.one && len(fits) > 1:
			c.add(at, "'oneOf' failed, subschemas %d, %d matched", fits[0], fits[1])
		}
	}
	if r.Not == nil {
		return nil
	}
	var not check
	if err := not.value(at, r.Not, v); err != nil {
		return err
	}
	if len(not.faults) == 0 {
		c.add(at, "'not' failed")
	}
	return nil
}

func (c *check) count(at, what string, got int, least, most *int) {
	if least != nil && got < *least {
		c.add(at, "min%s: got %d, want %d", what, got, *least)
	}
	if most != nil && got > *most {
		c.add(at, "max%s: got %d, want %d", what, got, *most)
	}
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

func isInteger(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	r, ok := rational(n)
	return ok && r.IsInt()
}

// rational is the exact value.
func rational(n json.Number) (*big.Rat, bool) { return new(big.Rat).SetString(n.String()) }

// equal compares JSON values; 1 and 1.0 are the same.
func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		n, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, okX := rational(a)
		y, okY := rational(n)
		return okX && okY && x.Cmp(y) == 0
	case []any:
		l, ok := b.([]any)
		return ok && slices.EqualFunc(a, l, equal)
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(a) != len(m) {
			return false
		}
		for k, v := range a {
			if w, ok := m[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// show writes a value for people.
func show(v any) string {
	switch v := v.(type) {
	case string:
		q := strings.ReplaceAll(strings.ReplaceAll(strconv.Quote(v), `\"`, `"`), `'`, `\'`)
		return "'" + q[1:len(q)-1] + "'"
	case []any, map[string]any:
		return "value"
	}
	return fmt.Sprint(v)
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
