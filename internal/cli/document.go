package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/skalds-go/skalds"
)

// document is a JSON object whose numbers stay as they were written.
type document map[string]any

// readDocument reads the value of a flag: "-" is standard input, "@FILE" a file, everything else the JSON itself.
func (c *commands) readDocument(flag, value string) (document, error) {
	switch {
	case value == "-":
		return c.readFile(flag, value)
	case strings.HasPrefix(value, "@"):
		return c.readFile(flag, value[1:])
	}
	return parseDocument("--"+flag, []byte(value))
}

// readFile reads the file that a flag names; "-" is standard input.
func (c *commands) readFile(flag, path string) (document, error) {
	from, where := c.In, "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		from, where = f, path
	}
	b, err := io.ReadAll(io.LimitReader(from, skalds.MaxBodyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("--%s: read %s: %w", flag, where, err)
	}
	if len(b) > skalds.MaxBodyBytes {
		return nil, fmt.Errorf("--%s: %s has more than the 1 MiB allowed: pass large data by reference", flag, where)
	}
	return parseDocument(fmt.Sprintf("--%s: %s", flag, where), b)
}

// parseDocument reads a JSON object and says where it is none.
func parseDocument(where string, b []byte) (document, error) {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	var raw json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		if len(bytes.TrimSpace(b)) == 0 {
			return nil, fmt.Errorf("%s: it is empty: write a JSON object, for example {\"key\": \"value\"}", where)
		}
		var s *json.SyntaxError
		if !errors.As(err, &s) {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		line, column := position(b, s.Offset)
		return nil, fmt.Errorf("%s: line %d, column %d: %w", where, line, column, err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: it is %s: write a JSON object, for example {\"key\": \"value\"}", where, kindOf(v))
	}
	return doc, nil
}

// position is line and column, both from 1, of the last of the first n bytes.
func position(b []byte, n int64) (line, column int) {
	before := b[:max(min(int(n), len(b))-1, 0)]
	line = bytes.Count(before, []byte("\n")) + 1
	return line, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}

// put sets the value at a path, and makes the objects on the way.
func (d document) put(value any, path ...string) error {
	at := map[string]any(d)
	for i, key := range path[:len(path)-1] {
		switch next := at[key].(type) {
		case map[string]any:
			at = next
		case document:
			at = next
		case nil:
			made := map[string]any{}
			at[key] = made
			at = made
		default:
			return fmt.Errorf("%s is %s, which has nothing below it", strings.Join(path[:i+1], "."), kindOf(next))
		}
	}
	at[path[len(path)-1]] = value
	return nil
}

// set applies key=value texts. A dot in a key leads into an object, "\." is a dot of the key. A value that is JSON is
// taken as such, everything else is a string: n=3 is a number, name=a and name="3" (the quotes reaching us) are strings.
func (d document) set(list []string) error {
	for _, s := range list {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return fmt.Errorf("--set %q is not of the form key=value", s)
		}
		path := splitKey(key)
		for _, part := range path {
			if part == "" {
				return fmt.Errorf("--set %q: the key %q has an empty part", s, key)
			}
		}
		if err := d.put(scalar(value), path...); err != nil {
			return fmt.Errorf("--set %q: %w", s, err)
		}
	}
	return nil
}

func splitKey(key string) (parts []string) {
	var part strings.Builder
	for i := 0; i < len(key); i++ {
		switch {
		case key[i] == '\\' && i+1 < len(key) && key[i+1] == '.':
			part.WriteByte('.')
			i++
		case key[i] == '.':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(key[i])
		}
	}
	return append(parts, part.String())
}

func scalar(s string) any {
	if !json.Valid([]byte(s)) {
		return s
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return s
	}
	return v
}
