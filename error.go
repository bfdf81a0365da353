package skalds

import (
	"errors"
	"fmt"
	"strings"
)

// Code classifies an error for people and programs; REST maps it to a status.
type Code string

// The codes.
const (
	CodeNotFound     Code = "not_found"     // 404
	CodeConflict     Code = "conflict"      // 409: exists already, or the state forbids it
	CodeInvalid      Code = "invalid"       // 422: fields say what is wrong
	CodeNotSupported Code = "not_supported" // 422: a field whose behaviour is not built yet
	CodeTooLarge     Code = "too_large"     // 413
	CodeUnavailable  Code = "unavailable"   // 503: a service is away, try again
	CodeInternal     Code = "internal"      // 500: details are in the log only
)

// FieldError says what is wrong with one field.
type FieldError struct {
	Field   string `json:"field"` // path with dots, e.g. "attachments.rtspUrl"
	Message string `json:"message"`
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Field makes a FieldError.
func Field(path, message string) error { return &FieldError{path, message} }

// Error is an error that a user may see.
type Error struct {
	Code    Code
	Message string       // what, where and what to do
	Fields  []FieldError // for CodeInvalid and CodeNotSupported
	Err     error        // cause, for the log
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s: %s", f.Field, f.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrNotFound) true for every error of that code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Code == e.Code
}

// Sentinels to compare with: errors.Is(err, skalds.ErrNotFound).
var (
	ErrNotFound     = &Error{Code: CodeNotFound}
	ErrConflict     = &Error{Code: CodeConflict}
	ErrInvalid      = &Error{Code: CodeInvalid}
	ErrNotSupported = &Error{Code: CodeNotSupported}
	ErrTooLarge     = &Error{Code: CodeTooLarge}
	ErrUnavailable  = &Error{Code: CodeUnavailable}
)

// Reasons with which a context is cancelled; read them with context.Cause.
var (
	ErrStopping      = errors.New("stopping")
	ErrTaskCancelled = errors.New("task cancelled")
	ErrLimitExceeded = errors.New("limit exceeded")
	ErrLeaseLost     = errors.New("lease lost")
	ErrRevision      = errors.New("revision has changed") // a compare-and-set lost its race: read again
)

// UnsendableError names the messages of a batch that can never be sent, because they are too large or cannot be encoded. All
// others of the batch have gone out.
type UnsendableError struct {
	Messages []Unsendable // by index
}

// Unsendable is one message that can never be sent.
type Unsendable struct {
	Index int // within the batch
	Err   error
}

func (e *UnsendableError) Error() string {
	texts := make([]string, len(e.Messages))
	for i, m := range e.Messages {
		texts[i] = m.Err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives the reasons.
func (e *UnsendableError) Unwrap() []error {
	errs := make([]error, len(e.Messages))
	for i, m := range e.Messages {
		errs[i] = m.Err
	}
	return errs
}

// Errorf makes an Error of the code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of err, CodeInternal where it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Invalid turns field errors (joined or single) into one Error of CodeInvalid; nil stays nil.
func Invalid(message string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Code: CodeInvalid, Message: message}
	collectFields(err, e)
	return e
}

func collectFields(err error, into *Error) {
	if multi, ok := err.(interface{ Unwrap() []error }); ok {
		for _, sub := range multi.Unwrap() {
			collectFields(sub, into)
		}
		return
	}
	var f *FieldError
	if errors.As(err, &f) {
		into.Fields = append(into.Fields, *f)
		return
	}
	into.Err = errors.Join(into.Err, err)
}

// ErrBusNew is part of the error of a call that nobody has answered since this program started: the topics of a new bus are
// made first, which takes seconds.
var ErrBusNew = errors.New("nothing was answered since the start")
