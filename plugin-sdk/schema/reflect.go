package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/invopop/jsonschema"
)

// Of makes the schema of T's JSON form. Field names are those of the json tags; a field without omitempty that has the tag
// `jsonschema:"required"` is required; minimum, maximum, enum, default, title and description are taken from the
// jsonschema tag. Unknown fields are not allowed.
func Of[T any]() (json.RawMessage, error) {
	r := &jsonschema.Reflector{DoNotReference: true, ExpandedStruct: true, Anonymous: true, RequiredFromJSONSchemaTags: true}
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Struct && t.NumField() == 0 {
		return json.RawMessage(`{"type":"object","additionalProperties":false}`), nil
	}
	if inner := recursion(t, nil); inner != nil {
		return nil, fmt.Errorf("schema of %s: the type %s contains itself, which attachments cannot", t, inner)
	}
	b, err := json.Marshal(r.ReflectFromType(t))
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	return b, nil
}

// recursion finds a type that contains itself; the reflector would follow it for ever.
func recursion(t reflect.Type, path []reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return recursion(t.Elem(), path)
	case reflect.Struct:
	default:
		return nil
	}
	if slices.Contains(path, t) {
		return t
	}
	path = append(slices.Clone(path), t)
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() || f.Anonymous {
			if inner := recursion(f.Type, path); inner != nil {
				return inner
			}
		}
	}
	return nil
}
