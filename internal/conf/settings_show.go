package conf

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
)

// mask stands for a secret.
const mask = "***"

// Shown is one setting as people may see it.
type Shown struct {
	Key   string `json:"key"`
	Value string `json:"value"` // masked where it is a secret
	From  string `json:"from"`  // "default", "skalds.yml:12", "environment KAFKA_HOST", ".env:3" or "flag --listen"
}

// Show is every setting that holds, in the order of Keys, secrets masked.
func (l *Loaded) Show() []Shown {
	values := reflect.ValueOf(l.Settings)
	keys := Keys()
	out := make([]Shown, len(keys))
	for i, k := range keys {
		value := valueText(values.Field(k.index))
		if k.Secret && value != "" {
			value = mask
		}
		out[i] = Shown{Key: k.Name, Value: maskURL(value), From: l.From[k.Name]}
	}
	return out
}

// WriteTable writes what Show says for people.
func (l *Loaded) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "KEY\tVALUE\tFROM") // an error is kept until Flush
	for _, s := range l.Show() {
		value := s.Value
		if value == "" {
			value = "-"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", s.Key, value, s.From)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("show the settings: %w", err)
	}
	return nil
}

// WriteJSON writes what Show says, and the warnings, for programs.
func (l *Loaded) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(struct {
		Settings []Shown  `json:"settings"`
		Warnings []string `json:"warnings"`
	}{l.Show(), append([]string{}, l.Warnings...)})
	if err != nil {
		return fmt.Errorf("show the settings: %w", err)
	}
	return nil
}

// maskURL masks the credentials in a URL: all that stands before its last "@", which is too much rather than too little.
func maskURL(s string) string {
	scheme, rest, found := strings.Cut(s, "://")
	at := strings.LastIndexByte(rest, '@')
	if !found || at < 0 {
		return s
	}
	user, _, has := strings.Cut(rest[:at], ":")
	if !has {
		user = mask // a lone word may be a token
	} else {
		user += ":" + mask
	}
	return scheme + "://" + user + rest[at:]
}

// maskAddress masks the credentials in what should be an address, with or without a scheme.
func maskAddress(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 && !strings.Contains(s, "://") {
		return mask + s[at:]
	}
	return maskURL(s)
}
