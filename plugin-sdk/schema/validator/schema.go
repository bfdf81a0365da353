package validator

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

	"github.com/skalds-go/skalds/plugin-sdk/schema"
)

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
	if faults := schema.Oversized(v); len(faults) > 0 { // the compiler takes all numbers for such as fit
		return nil, fmt.Errorf("read schema: %w", faults[0])
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
func (s *Schema) Validate(doc json.RawMessage) []schema.FieldError {
	if len(bytes.TrimSpace(doc)) == 0 || bytes.Equal(bytes.TrimSpace(doc), []byte("null")) {
		doc = json.RawMessage("{}")
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return []schema.FieldError{{Message: "no valid JSON: " + err.Error()}}
	}
	if faults := schema.Oversized(v); len(faults) > 0 { // it computes with every number, for as long as that takes
		return faults
	}
	err = s.compiled.Validate(v)
	if err == nil {
		return nil
	}
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		return []schema.FieldError{{Message: err.Error()}}
	}
	var out []schema.FieldError
	s.collect(ve, &out)
	slices.SortFunc(out, func(a, b schema.FieldError) int { return strings.Compare(a.Field+a.Message, b.Field+b.Message) })
	return slices.Compact(out)
}

// collect takes the leaves, which say what is wrong, and names the fields that are missing or unknown.
func (s *Schema) collect(e *jsonschema.ValidationError, out *[]schema.FieldError) {
	at := strings.Join(e.InstanceLocation, ".")
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			*out = append(*out, schema.FieldError{Field: join(at, name), Message: "is missing"})
		}
		return
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			*out = append(*out, schema.FieldError{Field: join(at, name), Message: "is unknown"})
		}
		return
	}
	if len(e.Causes) == 0 {
		*out = append(*out, schema.FieldError{Field: at, Message: e.ErrorKind.LocalizedString(s.printer)})
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
