package conf

import (
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// file reads a YAML file.
func (l *loader) file(path string) {
	d, err := readDocument(path)
	if err != nil {
		l.faults = append(l.faults, err)
		return
	}
	l.document(d)
}

func (l *loader) document(d *document) {
	root := d.root()
	if root == nil {
		return
	}
	if root.Kind != yaml.MappingNode {
		l.faults = append(l.faults, &Fault{Path: d.path, Line: root.Line, Message: "must be keys with values, like kafka_host: localhost"})
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		at := place{path: d.path, line: key.Line}
		_, known := l.keys[key.Value]
		switch first, twice := lines[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			l.fault(at, "a key must be a plain word")
		case strings.HasPrefix(key.Value, "x-"): // a place for anchors
		case !known:
			l.fault(at, "unknown key %s: %s", key.Value, l.advice(key.Value))
		case twice:
			l.fault(at, "%s stands on line %d already", key.Value, first)
		default:
			lines[key.Value] = key.Line
			l.member(key.Value, root.Content[i+1], at)
		}
	}
}

func (l *loader) fault(at place, format string, args ...any) {
	l.faults = append(l.faults, &Fault{Path: at.path, Line: at.line, Message: fmt.Sprintf(format, args...)})
}

func (l *loader) advice(key string) string {
	if key == tasksKey {
		return "this is a workers file: name it with yaml_file or --workers"
	}
	if near := l.nearest(key); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "skalds.example.yml shows all keys"
}

// member reads one value: a scalar, or a sequence or mapping where the setting is a list or labels. A value of nothing is none.
func (l *loader) member(key string, n *yaml.Node, at place) {
	n = resolved(n)
	if isNull(n) {
		return
	}
	text, err := flatText(n, l.keys[key].Type)
	if err != nil {
		l.places[key], l.bad[key] = at, true
		l.faultAt(key, at, err.Error())
		return
	}
	l.set(key, text, at)
}

// flatText is the text of a value as one would write it in the environment.
func flatText(n *yaml.Node, typ string) (string, error) {
	var items []string
	switch {
	case n.Kind == yaml.ScalarNode:
		return plainText(n)
	case n.Kind == yaml.SequenceNode && (typ == "list" || typ == "labels"):
		for _, c := range n.Content {
			item, err := itemText(c)
			if err != nil {
				return "", err
			}
			items = append(items, item)
		}
	case n.Kind == yaml.MappingNode && typ == "labels":
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, errK := itemText(n.Content[i])
			v, errV := itemText(n.Content[i+1])
			if errK != nil || errV != nil || strings.Contains(k, "=") {
				return "", errors.New("must hold labels, like zone: a")
			}
			items = append(items, k+"="+v)
		}
	default:
		return "", fmt.Errorf("must be a single value (%s)", typ)
	}
	return strings.Join(items, ","), nil
}

// itemText is one item of a list, or one key or value of labels.
func itemText(n *yaml.Node) (string, error) {
	n = resolved(n)
	switch {
	case n.Kind != yaml.ScalarNode || isNull(n):
		return "", errors.New("must hold plain words only")
	case strings.Contains(n.Value, ","):
		return "", fmt.Errorf("%q has a comma in it: write its parts as items of their own", n.Value)
	}
	return plainText(n)
}

// plainText is a scalar as it is spelled: every setting reads its own text, so "007" and 3.10 stay what they are.
func plainText(n *yaml.Node) (string, error) {
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!null", "!!merge":
		return n.Value, nil
	}
	return "", fmt.Errorf("has the tag %s, which means nothing here: leave it out", n.ShortTag())
}
