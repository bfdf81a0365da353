package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
)

// The exit codes of all commands.
const (
	exitDone        = 0
	exitFailed      = 1   // a task did not end as it was waited for, doctor found a fault, or something else went wrong
	exitUsage       = 2   // the command line is wrong; nothing was asked of a controller
	exitRefused     = 3   // the controller refused what it was asked: wrong fields, not supported, too large
	exitNotFound    = 4   // there is no such task or node
	exitConflict    = 5   // it exists already, has changed meanwhile, or its state forbids it
	exitUnavailable = 6   // no controller answers, or one of its services is away: try again
	exitTimedOut    = 7   // --timeout is over
	exitInterrupted = 130 // by SIGINT or SIGTERM
)

// usageError says that a command line is wrong.
type usageError struct {
	command string // whose help tells more
	err     error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v (see `%s --help`)", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

func usage(cmd *cobra.Command, err error) error {
	var u *usageError
	if errors.As(err, &u) {
		return err
	}
	return &usageError{cmd.CommandPath(), err}
}

// errTimedOut ends what --timeout bounds.
var errTimedOut = errors.New("timed out")

// interruptedError is what a command returns whose context has ended.
type interruptedError struct{ err error }

func (e *interruptedError) Error() string { return "interrupted" }

func (e *interruptedError) Unwrap() error { return e.err }

// ExitCode is the code with which a program ends whose command returned err.
//
//	0    done
//	1    a task did not end as it was waited for, doctor found a fault, or something else went wrong
//	2    the command line is wrong; nothing was asked of a controller
//	3    the controller refused what it was asked: wrong fields, not supported, too large
//	4    there is no such task or node
//	5    it exists already, has changed meanwhile, or its state forbids it
//	6    no controller answers, or one of its services is away: try again
//	7    --timeout is over
//	130  interrupted
//
// Of several errors the first counts.
func ExitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if several := unjoin(err); len(several) > 0 {
		return ExitCode(several[0])
	}
	var u *usageError
	var i *interruptedError
	switch {
	case errors.As(err, &u):
		return exitUsage
	case errors.Is(err, errTimedOut):
		return exitTimedOut
	case errors.As(err, &i), errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	switch skalds.CodeOf(err) {
	case skalds.CodeNotFound:
		return exitNotFound
	case skalds.CodeConflict:
		return exitConflict
	case skalds.CodeInvalid, skalds.CodeNotSupported, skalds.CodeTooLarge:
		return exitRefused
	case skalds.CodeUnavailable:
		return exitUnavailable
	}
	return exitFailed
}

// PrintError writes err for people: a line for each error, and one for each field that a controller found fault with.
func PrintError(w io.Writer, err error) {
	if err == nil {
		return
	}
	if several := unjoin(err); len(several) > 0 {
		for _, e := range several {
			PrintError(w, e)
		}
		return
	}
	var e *skalds.Error
	var i *interruptedError
	if errors.As(err, &i) || !errors.As(err, &e) || len(e.Fields) == 0 {
		fmt.Fprintf(w, "skalds: %s\n", clean(err.Error()))
		return
	}
	// The fields get lines of their own, so they are taken out of the text, which may have words of others around it.
	text := strings.Replace(err.Error(), e.Error(), e.Message, 1)
	fmt.Fprintf(w, "skalds: %s\n", clean(text))
	for _, f := range e.Fields {
		fmt.Fprintf(w, "  %s: %s\n", clean(f.Field), clean(f.Message))
	}
}

// unjoin lists the errors of errors.Join.
func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return nil
}
