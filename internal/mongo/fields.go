package mongo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// exactKey names a document of texts: that of a field under its name, where the field's value in BSON says less than its JSON did (a
// number of more than 64 bits, 1.50 instead of 1.5) or cannot be stored and is null (a key with a $). A text counts only as long as
// the field still holds what was made of it, so that whoever changes the field by hand is obeyed.
const exactKey = "exact"

// marshal is JSON without escapes that only browsers need, so that it comes back from BSON as it is.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// fieldsOf turns a value that is a JSON object into the fields of a document, in the order of its JSON. free names fields whose
// content is a user's. The exact texts, if any, are the last field.
func fieldsOf(v any, free map[string]bool) (bson.D, error) {
	text, err := marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var fields, exact bson.D
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		name, _ := key.(string)
		value, err := fromJSON(raw)
		if err != nil || !bytes.Equal(appendJSON(nil, value, !free[name]), raw) {
			exact = append(exact, bson.E{Key: name, Value: string(raw)})
		}
		fields = append(fields, bson.E{Key: name, Value: value})
	}
	if exact != nil {
		fields = append(fields, bson.E{Key: exactKey, Value: exact})
	}
	return fields, nil
}

// into reads a document into v, by the fields of known. What is null counts as missing.
func into(v any, doc bson.D, known, free map[string]bool) error {
	var exact bson.D
	for _, e := range doc {
		if e.Key == exactKey {
			exact, _ = e.Value.(bson.D)
		}
	}
	text := []byte{'{'}
	for _, e := range doc {
		if !known[e.Key] {
			continue
		}
		raw := appendJSON(nil, e.Value, !free[e.Key])
		if precise, ok := field(exact, e.Key).(string); ok {
			if made, err := fromJSON([]byte(precise)); bytes.Equal(appendJSON(nil, made, !free[e.Key]), raw) && (err == nil || made == nil) {
				raw = []byte(precise)
			}
		}
		if string(raw) == "null" {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(appendText(text, e.Key), ':'), raw...)
	}
	if err := json.Unmarshal(append(text, '}'), v); err != nil {
		return fmt.Errorf("a field has a wrong type: %w", err)
	}
	return nil
}

// field is the value of a field; nil where there is none.
func field(doc bson.D, name string) any {
	for _, e := range doc {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

// names are the fields that v, a struct, has in JSON.
func names(t reflect.Type) map[string]bool {
	found := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			for inner := range names(f.Type) {
				found[inner] = true
			}
		case name != "" && name != "-":
			found[name] = true
		}
	}
	return found
}
