package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/skalds-go/skalds"
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
	huma.Validate(r.huma.OpenAPI().Components.Schemas, r.schemaOf(reflect.TypeFor[T]()), path, huma.ModeWriteToServer, v, &res)
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
		field := "body"
		if errors.As(err, &wrong) && wrong.Field != "" {
			field = wrong.Field
		}
		return out, skalds.Invalid(what, skalds.Field(field, MaskText(err.Error())))
	}
	return out, nil
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
