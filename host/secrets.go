package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/skalds-go/skalds"
)

// secrets reads files of <data>/secrets: one secret each, named like the file. Their content never appears in a log, a
// report or the store.
type secrets struct{ dir string }

var errNoSecret = errors.New("no such secret")

// read returns one secret; a final line break does not belong to it.
func (s secrets) read(name string) (string, error) {
	if err := skalds.ValidateID(name); err != nil || strings.ContainsAny(name, `/\`) {
		return "", fmt.Errorf("%w: %q cannot be the name of a secret", errNoSecret, name)
	}
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w: write it to %s on this node", errNoSecret, filepath.Join(s.dir, name))
	}
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", name, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// fill replaces every ${secret:NAME} in the strings of a JSON document.
func (s secrets) fill(doc json.RawMessage) (json.RawMessage, error) {
	if !strings.Contains(string(doc), "${secret:") {
		return doc, nil
	}
	d := json.NewDecoder(strings.NewReader(string(doc)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("fill in secrets: %w", err)
	}
	re := regexp.MustCompile(`\$\{secret:([^}]*)\}`)
	var errs []error
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			return re.ReplaceAllStringFunc(v, func(m string) string {
				secret, err := s.read(re.FindStringSubmatch(m)[1])
				errs = append(errs, err)
				return secret
			})
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	v = walk(v)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("fill in secrets: %w", err)
	}
	return json.Marshal(v)
}
