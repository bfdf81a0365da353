package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/masking"
)

// decodeBody reads a body strictly: it names every unknown field and every one of the wrong type at once.
func decodeBody[T any](r *routes, raw []byte) (T, error) {
	var out T
	const what = "the body does not fit"
	if len(bytes.TrimSpace(raw)) == 0 {
		return out, noJSON("is empty: send a JSON object")
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a number that no float64 can hold is no fault of the whole body
	if err := d.Decode(&v); err != nil {
		return out, noJSON("is no valid JSON: " + jsonFault(raw, err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return out, noJSON("holds more than one JSON value: send one object")
	}
	if _, ok := v.(map[string]any); !ok {
		return out, skalds.Invalid(what, skalds.Field("body", "must be a JSON object"))
	}
	var res huma.ValidateResult
	path := huma.NewPathBuffer(nil, 0)
	huma.Validate(r.huma.OpenAPI().Components.Schemas, r.schemaOf(reflect.TypeFor[T]()), path, huma.ModeWriteToServer, floats(v), &res)
	e := &skalds.Error{Code: skalds.CodeInvalid, Message: what}
	for _, err := range res.Errors {
		var d *huma.ErrorDetail
		if !errors.As(err, &d) {
			d = &huma.ErrorDetail{Location: "body", Message: err.Error()}
		}
		f := fieldOf(d)
		e.Fields = append(e.Fields, skalds.FieldError{Field: f.Field, Message: f.Message})
	}
	if len(e.Fields) > 0 {
		return out, e
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		var wrong *json.UnmarshalTypeError
		field, message := "body", err.Error()
		if errors.As(err, &wrong) && wrong.Field != "" {
			field = wrong.Field
			if strings.HasPrefix(wrong.Value, "number ") { // 1e999, or 3e0 for an integer
				message = fmt.Sprintf("%.40s is out of range, or not written as plain digits", wrong.Value)
			}
		}
		return out, skalds.Invalid(what, skalds.Field(field, masking.Text(message)))
	}
	return out, nil
}

// floats makes the numbers of a decoded document such as huma checks; one that is too large is infinite.
func floats(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			v[name] = floats(field)
		}
	case []any:
		for i, item := range v {
			v[i] = floats(item)
		}
	case json.Number:
		f, _ := v.Float64()
		return f
	}
	return v
}

// noJSON is 400: nothing could be read. What can be read and is wrong is 422.
func noJSON(message string) error {
	return &Problem{
		Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest, Code: skalds.CodeInvalid, Detail: "the body cannot be read",
		Errors: []ProblemField{{"body", message}},
	}
}

// jsonFault says where the text stops being JSON.
func jsonFault(raw []byte, err error) string {
	var s *json.SyntaxError
	if !errors.As(err, &s) {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return "it ends too early"
		}
		return err.Error()
	}
	upTo := raw[:min(int(s.Offset), len(raw))]
	line := 1 + bytes.Count(upTo, []byte("\n"))
	column := len(upTo) - (bytes.LastIndexByte(upTo, '\n') + 1)
	return fmt.Sprintf("%s (line %d, column %d)", s.Error(), line, column)
}

// object checks that a document is a JSON object; null and nothing become nil.
func object(field string, doc json.RawMessage) (json.RawMessage, error) {
	doc = bytes.TrimSpace(doc)
	if len(doc) == 0 || string(doc) == "null" {
		return nil, nil
	}
	if doc[0] != '{' {
		return nil, skalds.Invalid("the body does not fit", skalds.Field(field, "must be a JSON object"))
	}
	return doc, nil
}
