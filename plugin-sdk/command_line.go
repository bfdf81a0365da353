package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// commandLine is the worker as a program of its own. It returns the exit code.
func (w *workerProgram) commandLine(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	var err error
	switch verb {
	case "run":
		err = w.runCommand(ctx, args[1:], stdout, stderr)
	case "describe":
		err = w.describeCommand(stdout)
	case "version", "--version":
		_, err = fmt.Fprintf(stdout, "%s %s\n", w.name, w.version)
	case "help", "-h", "--help":
		w.usage(stdout)
	case "":
		w.usage(stderr)
		return 2
	default:
		w.usage(stderr)
		err = &usageError{fmt.Errorf("unknown command %q", verb)}
	}
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: %v\n", w.name, err)
		return 2
	}
	fmt.Fprintf(stderr, "%s: %v\n", w.name, err)
	return 1
}

// usageError is a mistake on the command line, exit code 2.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func (w *workerProgram) usage(out io.Writer) {
	var names []string
	for _, c := range w.classes {
		names = append(names, c.name)
	}
	fmt.Fprintf(out, `%[1]s %[2]s is a Skalds worker: a host starts it for tasks of %[3]s.
To let a host find it, copy it to <plugins>/%[1]s/%[2]s/%[1]s. To run it alone:

  %[1]s run [--class C] --attachments '{…}'   run one task without any host; also @FILE or file.yml, file.json
        [--id ID] [--data-dir DIR]             exit code 0: finished or stopped, 1: failed, 2: wrong arguments
  %[1]s describe                               print name, version, classes and their schemas as JSON
  %[1]s version
`, w.name, w.version, strings.Join(names, ", "))
}

func (w *workerProgram) describeCommand(stdout io.Writer) error {
	d, err := w.describe()
	if err != nil {
		return err
	}
	e := json.NewEncoder(stdout)
	e.SetIndent("", "  ")
	return e.Encode(d)
}
