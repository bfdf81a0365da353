package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFileBytes bounds what is read: beyond it, somebody has named the wrong file.
const maxFileBytes = 32 << 20

// document is a YAML file as a tree with places and comments.
type document struct {
	path string
	text []byte
	tree *yaml.Node // the document node; nil where the file says nothing
}

// readDocument reads and parses a file. The error of a syntax error is a Fault.
func readDocument(path string) (*document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, rootCause(err))
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, rootCause(err))
	}
	if len(text) > maxFileBytes {
		return nil, &Fault{Path: path, Message: fmt.Sprintf("is larger than %s: is it the right file?", ByteSize(maxFileBytes))}
	}
	return parseDocument(path, text)
}

// rootCause drops "open <path>:", which the caller says itself.
func rootCause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func parseDocument(path string, text []byte) (*document, error) {
	d := &document{path: path, text: text}
	tree, second, err := parseTree(text)
	switch {
	case errors.Is(err, io.EOF):
		return d, nil
	case err != nil:
		return nil, d.syntax(err)
	case second != nil:
		return nil, d.fault(second, "", "a second document begins here: keep everything in one, without ---")
	}
	if tree.Kind == yaml.DocumentNode && len(tree.Content) == 1 && tree.Content[0].ShortTag() != "!!null" {
		d.tree = tree
	}
	return d, nil
}

// parseTree is the first document of a text, and the second one where there is one; io.EOF where there is none.
func parseTree(text []byte) (tree, second *yaml.Node, err error) {
	tree, second = &yaml.Node{}, &yaml.Node{}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(tree); err != nil {
		return nil, nil, err
	}
	switch err := dec.Decode(second); {
	case errors.Is(err, io.EOF):
		return tree, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return tree, second, nil
}

// root is the value of the whole document; nil where the file says nothing.
func (d *document) root() *yaml.Node {
	if d.tree == nil {
		return nil
	}
	return d.tree.Content[0]
}

func (d *document) fault(n *yaml.Node, field, format string, args ...any) error {
	return &Fault{Path: d.path, Line: n.Line, Column: n.Column, Field: field, Message: fmt.Sprintf(format, args...)}
}

var syntaxLine = regexp.MustCompile(`^(?:line (\d+): )?(.*)$`)

// syntaxFault takes a parser's error apart; the line is 0 where it names none.
func syntaxFault(err error) (line int, message string) {
	m := syntaxLine.FindStringSubmatch(strings.TrimPrefix(err.Error(), "yaml: "))
	if m == nil {
		return 0, err.Error()
	}
	line, _ = strconv.Atoi(m[1])
	return line, m[2]
}

// syntax gives a parser's error a place. The parser names none, or the line where what the fault is in begins, which may be that of
// TaskWorkers; so the first line is looked for with which the text has the fault. The column is that of a tab in the indentation,
// which is the likeliest fault, or of the first character.
func (d *document) syntax(err error) error {
	named, message := syntaxFault(err)
	lines := bytes.SplitAfter(d.text, []byte("\n"))
	line := min(max(named, 1), len(lines))
	if len(d.text) <= maxSearchedBytes {
		line = firstFaulty(d.text, lines, message)
	}
	text := lines[line-1]
	column := len(text) - len(bytes.TrimLeft(text, " \t\r")) + 1
	if tab := bytes.IndexByte(text[:column-1], '\t'); tab >= 0 {
		column, message = tab+1, message+" (a tab stands in the indentation: use spaces)"
	}
	return &Fault{Path: d.path, Line: line, Column: column, Message: "this is no YAML: " + message}
}

// maxSearchedBytes bounds the texts that are parsed again to find the line of a fault.
const maxSearchedBytes = 1 << 20

// firstFaulty is the first line, from 1, with which a text has a fault: all that ends later has it as well.
func firstFaulty(text []byte, lines [][]byte, message string) int {
	ends := make([]int, len(lines))
	end := 0
	for i, l := range lines {
		end += len(l)
		ends[i] = end
	}
	return 1 + sort.Search(len(lines)-1, func(i int) bool {
		_, _, err := parseTree(text[:ends[i]])
		if err == nil || errors.Is(err, io.EOF) {
			return false
		}
		_, same := syntaxFault(err)
		return same == message
	})
}

// resolved follows aliases.
func resolved(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && i < 100; i++ {
		n = n.Alias
	}
	return n
}

// isNull reports whether n says nothing.
func isNull(n *yaml.Node) bool {
	return n == nil || (n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null")
}

// member is the value under a key of a mapping, and where it stands; -1 where there is none.
func member(mapping *yaml.Node, key string) (*yaml.Node, int) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1], i
		}
	}
	return nil, -1
}
