package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/masking"
)

// Problem is an error answer, problem+json of RFC 9457.
type Problem struct {
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Code      skalds.Code    `json:"code" doc:"what kind of error it is, for programs"`
	Detail    string         `json:"detail" doc:"what went wrong, where, and what to do"`
	Errors    []ProblemField `json:"errors,omitempty" doc:"what is wrong with which field"`
	RequestID string         `json:"requestId,omitempty" doc:"under which the log tells more"`
}

// ProblemField is what is wrong with one field.
type ProblemField struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error is the text that people read.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// retryAfter is how many seconds somebody who was answered 503 is asked to wait: what is away is mostly back within moments.
const retryAfter = "2"

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	if p.Status != http.StatusServiceUnavailable {
		return nil
	}
	return http.Header{"Retry-After": {retryAfter}}
}

// statusOf maps codes to HTTP; everything else is 500.
func statusOf(c skalds.Code) int {
	switch c {
	case skalds.CodeNotFound:
		return http.StatusNotFound
	case skalds.CodeConflict:
		return http.StatusConflict
	case skalds.CodeInvalid, skalds.CodeNotSupported:
		return http.StatusUnprocessableEntity
	case skalds.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case skalds.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// codeOf maps the status of an error that huma or the mux made.
func codeOf(status int) skalds.Code {
	switch status {
	case http.StatusNotFound:
		return skalds.CodeNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return skalds.CodeConflict
	case http.StatusRequestEntityTooLarge:
		return skalds.CodeTooLarge
	case http.StatusServiceUnavailable:
		return skalds.CodeUnavailable
	}
	if status >= 500 {
		return skalds.CodeInternal
	}
	return skalds.CodeInvalid
}

// problem turns any error into an answer. What has no code is "internal error" outside and complete in the log.
func (r *routes) problem(ctx context.Context, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		q := *p
		q.RequestID = requestID(ctx)
		return &q
	}
	var e *skalds.Error
	if !errors.As(err, &e) && errors.Is(err, context.DeadlineExceeded) {
		e = &skalds.Error{Code: skalds.CodeUnavailable, Message: "a service did not answer in time: /readyz says which; try again in a moment", Err: err}
		err = e
	}
	if !errors.As(err, &e) && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		// Its client has left, and reads no answer, or this controller stops.
		e = &skalds.Error{Code: skalds.CodeUnavailable, Message: "this controller stops before it has an answer: ask another one, or this one in a moment", Err: err}
		err = e
	}
	if !errors.As(err, &e) || e.Code == skalds.CodeInternal {
		id := requestID(ctx)
		r.log.Error("request failed", "request_id", id, "err", masking.Text(err.Error()))
		return newProblem(http.StatusInternalServerError, skalds.CodeInternal, "internal error: the log of the controller tells more under the request id "+id, id)
	}
	if e.Err != nil {
		r.log.Debug("request refused", "request_id", requestID(ctx), "err", masking.Text(e.Error()))
	}
	p = newProblem(statusOf(e.Code), e.Code, e.Message, requestID(ctx))
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, ProblemField{f.Field, masking.Text(f.Message)})
	}
	return p
}

func newProblem(status int, code skalds.Code, detail, requestID string) *Problem {
	title := http.StatusText(status)
	return &Problem{Title: title, Status: status, Code: code, Detail: masking.Text(detail), RequestID: requestID}
}

// asProblem turns the errors that huma makes itself, of parameters and sizes, into problems. Values are not echoed.
func (r *routes) asProblem(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := newProblem(m.Status, codeOf(m.Status), m.Detail, requestID(ctx.Context()))
	switch m.Status {
	case http.StatusRequestEntityTooLarge:
		p.Detail = "the body is larger than the 1 MiB allowed: pass large data by reference"
	case http.StatusUnprocessableEntity:
		p.Detail = "the request does not fit"
	}
	for _, d := range m.Errors {
		f := fieldOf(d)
		if d.Message == "unknown query parameter" {
			f.Message = "is no parameter of this path: " + queryParameters(ctx.Operation())
		}
		p.Errors = append(p.Errors, f)
	}
	slices.SortStableFunc(p.Errors, func(a, b ProblemField) int { return strings.Compare(a.Field, b.Field) }) // huma walks a map
	return p, nil
}

// queryParameters says which ones an operation knows.
func queryParameters(op *huma.Operation) string {
	var names []string
	for _, q := range op.Parameters {
		if q.In == "query" {
			names = append(names, q.Name)
		}
	}
	if len(names) == 0 {
		return "it has none"
	}
	return "it has " + strings.Join(names, ", ")
}

// fieldOf takes huma's detail without its value, which may be a secret.
func fieldOf(d *huma.ErrorDetail) ProblemField {
	field := d.Location
	for _, where := range []string{"body.", "query.", "path.", "header."} {
		field = strings.TrimPrefix(field, where)
	}
	message := d.Message
	if message == "unexpected property" {
		message = "is no field that is known here: check its spelling"
	}
	if name, ok := strings.CutPrefix(message, "expected required property "); ok {
		name, _, _ = strings.Cut(name, " ")
		if field == "body" || field == "" {
			field = name
		} else {
			field += "." + name
		}
		message = "is missing"
	}
	return ProblemField{Field: field, Message: masking.Text(message)}
}

func (r *routes) problemResponse() *huma.Response {
	return &huma.Response{Description: "What went wrong", Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: r.schemaOf(reflect.TypeFor[Problem]())},
	}}
}

// writeProblem answers where huma is not involved.
func (r *routes) writeProblem(w http.ResponseWriter, p *Problem) {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.Header().Del("Content-Length")
	w.WriteHeader(p.Status)
	if err := huma.DefaultJSONFormat.Marshal(w, p); err != nil {
		r.log.Debug("cannot write an answer", "err", err)
	}
}
