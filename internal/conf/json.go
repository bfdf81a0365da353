package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Bounds of what is turned into JSON: aliases can make a small file huge.
const (
	maxJSONNodes = 200_000
	maxJSONDepth = 100
)

// nodeError is something that JSON cannot say, with its place.
type nodeError struct {
	node    *yaml.Node
	message string
}

func (e *nodeError) Error() string { return e.message }

// jsonMaker turns YAML into JSON.
type jsonMaker struct{ left int }

// toJSON is the JSON text of a YAML value. Dates stay text, and numbers keep their spelling where JSON has it.
func toJSON(n *yaml.Node) (json.RawMessage, error) {
	m := &jsonMaker{left: maxJSONNodes}
	v, err := m.value(n, 0)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // URLs stay readable
	if err := enc.Encode(v); err != nil {
		return nil, &nodeError{n, "cannot be said in JSON: " + err.Error()}
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func (m *jsonMaker) value(n *yaml.Node, depth int) (any, error) {
	if m.left--; m.left < 0 || depth > maxJSONDepth {
		return nil, &nodeError{n, "is too large or too deep, or its aliases go round in circles"}
	}
	switch n.Kind {
	case yaml.AliasNode:
		return m.value(n.Alias, depth+1)
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		return out, m.mapping(n, depth, out)
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := m.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, &nodeError{n, "is no value"}
}

// mapping fills out; what stands in the mapping itself wins over what it merges in by "<<".
func (m *jsonMaker) mapping(n *yaml.Node, depth int, out map[string]any) error {
	own := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolved(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			return &nodeError{n.Content[i], "a key must be a plain word"}
		}
		if key.ShortTag() == "!!merge" {
			continue
		}
		if own[key.Value] {
			return &nodeError{n.Content[i], fmt.Sprintf("the key %s is there twice", key.Value)}
		}
		v, err := m.value(n.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		own[key.Value], out[key.Value] = true, v
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != "!!merge" {
			continue
		}
		sources := []*yaml.Node{n.Content[i+1]}
		if s := resolved(n.Content[i+1]); s.Kind == yaml.SequenceNode {
			sources = s.Content
		}
		for _, s := range sources {
			if resolved(s).Kind != yaml.MappingNode {
				return &nodeError{s, "<< can only merge a mapping"}
			}
			v, err := m.value(s, depth+1)
			if err != nil {
				return err
			}
			for k, merged := range v.(map[string]any) {
				if _, there := out[k]; !there {
					out[k] = merged
				}
			}
		}
	}
	return nil
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var v bool
		if err := n.Decode(&v); err != nil {
			return nil, &nodeError{n, fmt.Sprintf("%q is neither true nor false", n.Value)}
		}
		return v, nil
	case "!!int", "!!float":
		if jsonNumber.MatchString(n.Value) {
			return json.Number(n.Value), nil
		}
		var i int64
		if n.ShortTag() == "!!int" && n.Decode(&i) == nil { // 0x1f, 1_000
			return json.Number(strconv.FormatInt(i, 10)), nil
		}
		var f float64
		if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, &nodeError{n, fmt.Sprintf("%q is no number that JSON knows", n.Value)}
		}
		return f, nil
	}
	return n.Value, nil // text, and dates as they are written
}

// fromJSON is the YAML tree of a JSON document, its keys in the order in which they stand.
func fromJSON(doc json.RawMessage) (*yaml.Node, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	n, err := jsonNode(d)
	if err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("something follows the JSON document")
	}
	return n, nil
}

func jsonNode(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if t == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for d.More() {
			c, err := jsonNode(d) // of a mapping: key and value in turn
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, c)
		}
		_, err := d.Token() // the closing bracket
		return n, err
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode}
		n.SetString(t)
		if n.Tag == "!!binary" || plainTrap(t) {
			n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
		}
		return n, nil
	case json.Number:
		n := &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}
		n.Tag = n.ShortTag()
		if n.Tag != "!!int" && n.Tag != "!!float" {
			n.Tag = "!!float"
		}
		return n, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(t)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

// plainTrap reports whether text would be read as something else by YAML 1.1, as Python reads it.
func plainTrap(s string) bool {
	switch s {
	case "y", "Y", "n", "N", "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "<<", "=":
		return true
	}
	return false
}
