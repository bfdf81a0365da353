package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// FieldError says what is wrong with one field.
type FieldError struct {
	Field   string // path with dots inside the document; empty: the document itself
	Message string
}

func (e FieldError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	printer  *message.Printer
}

// Compile reads a schema. References to other documents are not followed. An empty schema allows everything.
func Compile(doc json.RawMessage) (*Schema, error) {
	if len(bytes.TrimSpace(doc)) == 0 {
		doc = json.RawMessage(`true`)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	const name = "mem:attachments"
	if err := c.AddResource(name, v); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	s, err := c.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return &Schema{s, message.NewPrinter(language.English)}, nil
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a schema must not refer to %s", url)
}

// Validate lists everything that is wrong, sorted by field; an empty document counts as {}.
func (s *Schema) Validate(doc json.RawMessage) []FieldError {
	if len(bytes.TrimSpace(doc)) == 0 || bytes.Equal(bytes.TrimSpace(doc), []byte("null")) {
		doc = json.RawMessage("{}")
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return []FieldError{{"", "no valid JSON: " + err.Error()}}
	}
	err = s.compiled.Validate(v)
	if err == nil {
		return nil
	}
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		return []FieldError{{"", err.Error()}}
	}
	var out []FieldError
	s.collect(ve, &out)
	slices.SortFunc(out, func(a, b FieldError) int { return strings.Compare(a.Field+a.Message, b.Field+b.Message) })
	return slices.Compact(out)
}

// collect takes the leaves, which say what is wrong, and names the fields that are missing or unknown.
func (s *Schema) collect(e *jsonschema.ValidationError, out *[]FieldError) {
	at := strings.Join(e.InstanceLocation, ".")
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			*out = append(*out, FieldError{join(at, name), "is missing"})
		}
		return
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			*out = append(*out, FieldError{join(at, name), "is unknown"})
		}
		return
	}
	if len(e.Causes) == 0 {
		*out = append(*out, FieldError{at, e.ErrorKind.LocalizedString(s.printer)})
		return
	}
	for _, c := range e.Causes {
		s.collect(c, out)
	}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
