package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// form is what a command prints; a pflag.Value.
type form string

const (
	tableForm form = "table"
	wideForm  form = "wide" // more columns
	jsonForm  form = "json" // one document, as the controller answered
	nameForm  form = "name" // ids only, one a line
)

func formNames() []string {
	return []string{string(tableForm), string(wideForm), string(jsonForm), string(nameForm)}
}

// String implements pflag.Value.
func (f *form) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *form) Type() string { return "form" }

// Set implements pflag.Value.
func (f *form) Set(s string) error {
	if !slices.Contains(formNames(), s) {
		return fmt.Errorf("it is none of %s", strings.Join(formNames(), ", "))
	}
	*f = form(s)
	return nil
}

func formOf(cmd *cobra.Command) form {
	if s := flagText(cmd, "output"); s != "" {
		return form(s)
	}
	return tableForm
}

// printJSON writes one document.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// answer is what a command has to say, in every form.
type answer struct {
	document any             // for json
	names    []string        // for name
	table    func(wide bool) // for the others
}

func (c *commands) print(cmd *cobra.Command, a answer) error {
	switch f := formOf(cmd); f {
	case jsonForm:
		return printJSON(c.Out, a.document)
	case nameForm:
		for _, n := range a.names {
			if _, err := fmt.Fprintln(c.Out, n); err != nil {
				return err
			}
		}
	default:
		a.table(f == wideForm)
	}
	return nil
}
