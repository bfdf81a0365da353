package mongo

import (
	"encoding/json"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Documents of our own hold what belongs to searches as fields, and all the rest as one embedded document.

// content is that rest.
type content struct {
	Doc json.RawMessage `json:"doc"`
}

var contentFields = map[string]bool{"doc": true}

// with adds v to the fields of a document.
func with(fields bson.D, v any) (bson.D, error) {
	text, err := marshal(v)
	if err != nil {
		return nil, err
	}
	doc, err := fieldsOf(content{text}, contentFields)
	return append(fields, doc...), err
}

// contents reads what with has added.
func contents[T any](docs []bson.D, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	values := make([]T, len(docs))
	for i, doc := range docs {
		c := content{Doc: json.RawMessage("null")}
		err := into(&c, doc, contentFields, contentFields)
		if err == nil {
			err = json.Unmarshal(c.Doc, &values[i])
		}
		if err != nil {
			return nil, fmt.Errorf("read a stored %T (_id %v): %w", values[i], field(doc, "_id"), err)
		}
	}
	return values, nil
}
