package conf

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteSchema writes all keys for people, or as JSON for programs.
func WriteSchema(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Keys []Key `json:"keys"`
		}{Keys()})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	section := ""
	for _, k := range Keys() {
		if k.Section != section {
			section = k.Section
			_, _ = fmt.Fprintf(t, "\n%s\n", section) // an error is kept until Flush
		}
		kind := k.Type
		if len(k.Words) > 0 {
			kind = strings.Join(k.Words, "|")
		}
		value := k.Default
		if value == "" {
			value = "-"
		}
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", k.Name, kind, value, k.Description)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("list the settings: %w", err)
	}
	return nil
}
