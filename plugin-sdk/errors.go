package sdk

import (
	"errors"
	"fmt"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// tooLarge refuses what exceeds a size of the protocol.
func tooLarge(what string, n, most int) error {
	return &refusal{fmt.Sprintf("%s of %d bytes is larger than the %d allowed: write a file and keep its path", what, n, most), protocol.ErrRefused}
}

// ErrStopped is the cause with which a task's context ends when it is stopped.
var ErrStopped = errors.New("task stopped")

// Permanent marks an error that no retry can cure: the task fails at once, whatever its budget. nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// IsPermanent reports whether err or what it wraps was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// refusal is an error for the host with its own words and one of the protocol's identities.
type refusal struct {
	text string
	is   error
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.is }

// PanicError is a panic of a hook, as OnError sees it.
type PanicError struct {
	Value any
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }
