package conf

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong in a file, with the place where to repair it.
type Fault struct {
	Path    string
	Line    int    // from 1; 0: the file as a whole
	Column  int    // from 1; 0: unknown
	Field   string // path with dots, e.g. "TaskWorkers.camera.limits.memoryBytes"; may be empty
	Message string
}

func (f *Fault) Error() string { return f.Place() + ": " + f.What() }

// Place is where to repair it, as editors take it: path:line:column.
func (f *Fault) Place() string {
	var b strings.Builder
	b.WriteString(f.Path)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
		if f.Column > 0 {
			fmt.Fprintf(&b, ":%d", f.Column)
		}
	}
	return b.String()
}

// What is the fault without its place.
func (f *Fault) What() string {
	if f.Field == "" {
		return f.Message
	}
	return f.Field + ": " + f.Message
}
