package schema

import (
	"encoding/json"
	"fmt"
	"reflect"

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
	b, err := json.Marshal(r.ReflectFromType(t))
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	return b, nil
}
