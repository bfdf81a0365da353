package conf

import (
	"fmt"
	"strings"
)

// List is texts with commas between them.
type List []string

// String has commas between the items.
func (l List) String() string { return strings.Join(l, ",") }

// MarshalText writes "a,b".
func (l List) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads "a, b". Empty items do not count.
func (l *List) UnmarshalText(text []byte) error {
	*l = nil
	for item := range strings.SplitSeq(string(text), ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l = append(*l, item)
		}
	}
	return nil
}

// Labels are labels of a node. A label without a value is "true".
type Labels map[string]string

// String has commas between the labels, which are in order.
func (l Labels) String() string {
	items := make([]string, 0, len(l))
	for _, k := range sortedKeys(l) {
		if l[k] == "true" {
			items = append(items, k)
		} else {
			items = append(items, k+"="+l[k])
		}
	}
	return strings.Join(items, ",")
}

// MarshalText writes "gpu,zone=a".
func (l Labels) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads "zone=a, gpu".
func (l *Labels) UnmarshalText(text []byte) error {
	var items List
	_ = items.UnmarshalText(text) // cannot fail
	out := Labels{}
	for _, item := range items {
		key, value, has := strings.Cut(item, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch _, twice := out[key]; {
		case key == "" || strings.ContainsAny(key, "! \t") || has && value == "" || strings.Contains(value, "="):
			return fmt.Errorf("%q is no label: write zone=a, or gpu for gpu=true", item)
		case twice:
			return fmt.Errorf("the label %s is there twice", key)
		case !has:
			value = "true"
		}
		out[key] = value
	}
	*l = nil
	if len(out) > 0 {
		*l = out
	}
	return nil
}
