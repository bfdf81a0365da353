package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	places := map[string]place{}
	var order []string
	ok := true
	for first := 0; first < len(lines); {
		vars, n := statement(lines[first:])
		at := place{path: path, line: first + 1}
		if vars == nil {
			l.fault(at, "is not of the form NAME=value, with quotes that are closed") // its text may hold a password
			ok = false
		}
		for _, name := range sortedKeys(vars) {
			if _, twice := places[name]; !twice {
				order = append(order, name)
			}
			places[name] = place{path: path, line: first + 1, env: name}
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
		l.variable(name, vars[name], places[name])
	}
}

// statement reads the variables of the first statement, which takes n lines; nil where it is none.
func statement(lines []string) (vars map[string]string, n int) {
	for n := 1; n <= min(len(lines), maxDotEnvLines); n++ {
		vars, err := godotenv.Unmarshal(strings.Join(lines[:n], "\n"))
		if err == nil {
			if _, nameless := vars[""]; nameless {
				return nil, 1
			}
			return vars, n
		}
		if !strings.Contains(err.Error(), "unterminated quoted value") {
			break
		}
	}
	return nil, 1
}
