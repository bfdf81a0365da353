package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

const (
	maxDotEnvBytes = 1 << 20
	maxDotEnvLines = 100 // of one value: beyond it, a quote has been forgotten
)

// dotEnv reads a .env file, where it exists.
func (l *loader) dotEnv(path string) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		l.faults = append(l.faults, fmt.Errorf("read %s: %w", path, rootCause(err)))
	case len(text) > maxDotEnvBytes:
		l.faults = append(l.faults, &Fault{Path: path, Message: fmt.Sprintf("is larger than %s: is it the right file?", ByteSize(maxDotEnvBytes))})
	default:
		l.dotEnvText(path, text)
	}
}

// dotEnvText reads the text of a .env file. The parser names no lines, so it is given one statement after the other first.
func (l *loader) dotEnvText(path string, text []byte) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	places, literal, dangling := map[string]place{}, map[string]string{}, map[string]bool{}
	var order []string
	ok := true
	for first := 0; first < len(lines); {
		at := place{path: path, line: first + 1}
		vars, n := statement(lines[first:])
		if vars == nil {
			l.fault(at, "is not of the form NAME=value, with quotes that are closed") // its text may hold a password
			ok = false
		}
		for _, name := range sortedKeys(vars) {
			if _, twice := places[name]; !twice {
				order = append(order, name)
			}
			at.env = name
			dangling[name] = dangles(vars[name], places)
			places[name], literal[name] = at, vars[name]
		}
		first += n
	}
	if !ok {
		return
	}
	vars, err := godotenv.UnmarshalBytes(text) // as a whole, because values may refer to earlier ones
	if err != nil {
		l.fault(place{path: path}, "is no list of NAME=value")
		return
	}
	for _, name := range order {
		key := strings.ToLower(name)
		if _, ours := l.keys[key]; ours && dangling[name] && vars[name] != literal[name] {
			l.places[key], l.bad[key] = places[name], true
			l.faultAt(key, places[name], "has a $ that refers to a variable which is not set above: put the value into single quotes if the $ belongs to it")
			continue
		}
		l.variable(name, vars[name], places[name])
	}
}

var reference = regexp.MustCompile(`(\\)?\$\(?\{?([A-Z0-9_]+)`)

// dangles reports whether a value refers to a variable that is not set. Where the parser replaces references, it is rather a
// password with a dollar in it, and would be cut there without a word.
func dangles(literal string, set map[string]place) bool {
	for _, m := range reference.FindAllStringSubmatch(literal, -1) {
		if _, there := set[m[2]]; m[1] == "" && !there {
			return true
		}
	}
	return false
}

// dollar stands for "$" while a statement is read as it is written.
const dollar = "\x00"

// statement reads the variables of the first statement, which takes n lines; nil where it is none. References stay as they
// are written.
func statement(lines []string) (vars map[string]string, n int) {
	for n := 1; n <= min(len(lines), maxDotEnvLines); n++ {
		vars, err := godotenv.Unmarshal(strings.ReplaceAll(strings.Join(lines[:n], "\n"), "$", dollar))
		switch {
		case err == nil:
			if _, nameless := vars[""]; nameless {
				return nil, 1
			}
			for name, v := range vars {
				vars[name] = strings.ReplaceAll(v, dollar, "$")
			}
			return vars, n
		case !strings.Contains(err.Error(), "unterminated quoted value"):
			return nil, 1
		}
	}
	return nil, 1
}
