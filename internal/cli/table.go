package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// table writes rows in columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, head ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	if len(head) > 0 {
		t.row(head...)
	}
	return t
}

// row adds a row; an empty cell is shown as a dash, so that columns can be counted by programs.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if c = clean(c); c == "" {
			c = "-"
		}
		cells[i] = c
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// fact adds a line "name value" where there is a value.
func (t *table) fact(name, value string) {
	if value != "" {
		fmt.Fprintf(t.w, "%s\t%s\n", name, clean(value))
	}
}

func (t *table) flush() { _ = t.w.Flush() } // a closed pipe: nobody reads it any more

// clean keeps text of workers and cameras on its line and away from the terminal's control sequences.
func clean(s string) string {
	return strings.TrimSpace(cleanLine(s))
}

// cleanLine is clean for lines whose indentation says something.
func cleanLine(s string) string {
	return strings.TrimRight(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(s, "\t", "    ")), " ")
}
