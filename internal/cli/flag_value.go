package cli

import (
	"encoding"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// parsed is a flag whose value parses itself.
type parsed[T any, P interface {
	*T
	encoding.TextUnmarshaler
	fmt.Stringer
}] struct {
	value T
	name  string // of the type, for the help
	set   bool
}

// String implements pflag.Value.
func (p *parsed[T, P]) String() string {
	if !p.set {
		return ""
	}
	return P(&p.value).String()
}

// Type implements pflag.Value.
func (p *parsed[T, P]) Type() string { return p.name }

// Set implements pflag.Value.
func (p *parsed[T, P]) Set(s string) error {
	p.set = true
	return P(&p.value).UnmarshalText([]byte(s))
}

// parsedFlag adds a flag whose value parses itself.
func parsedFlag[T any, P interface {
	*T
	encoding.TextUnmarshaler
	fmt.Stringer
}](f *pflag.FlagSet, name, typeName, help string,
) *T {
	v := &parsed[T, P]{name: typeName}
	f.Var(v, name, help)
	return &v.value
}

// pairs reads key=value texts of a flag.
func pairs(flag string, list []string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("--%s %q is not of the form key=value", flag, s)
		}
		m[k] = v
	}
	return m, nil
}
