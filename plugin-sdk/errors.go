package sdk

import (
	"errors"
	"fmt"
)

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

// PanicError is a panic of a hook, as OnError sees it.
type PanicError struct {
	Value any
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }
