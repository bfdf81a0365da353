package mongo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Documents are JSON as the root package writes it, field by field in the database's own types, so that the original and people
// with a shell can read them. Numbers are 64-bit integers where they are whole, else doubles.

// toBSON turns a JSON value into the database's types; the order of members is kept.
func toBSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// object turns a JSON object into a document.
func object(text []byte) (bson.D, error) {
	v, err := toBSON(text)
	if err != nil {
		return nil, err
	}
	d, ok := v.(bson.D)
	if !ok {
		return nil, fmt.Errorf("%.20q is no JSON object", text)
	}
	return d, nil
}

var errKey = errors.New("a name contains a zero byte, which the database cannot keep")

func value(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			list := bson.A{}
			for d.More() {
				v, err := value(d)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		doc := bson.D{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			key, ok := name.(string)
			if !ok || strings.ContainsRune(key, 0) {
				return nil, errKey
			}
			v, err := value(d)
			if err != nil {
				return nil, err
			}
			doc = append(doc, bson.E{Key: key, Value: v})
		}
		_, err := d.Token()
		return doc, err
	case json.Number:
		if n, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return n, nil
		}
		return strconv.ParseFloat(t.String(), 64)
	default:
		return token, nil // string, bool, nil
	}
}

// toJSON writes a value of the database as JSON. Types that JSON does not have, which only others write, become text or numbers.
func toJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := appendJSON(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func appendJSON(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case bson.D:
		b.WriteByte('{')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := appendText(b, e.Key); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := appendJSON(b, e.Value); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	case bson.A:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := appendJSON(b, e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case string:
		return appendText(b, v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b.WriteString("null")
			return nil
		}
		return appendAny(b, v)
	case bson.ObjectID:
		return appendText(b, v.Hex())
	case bson.DateTime:
		return appendAny(b, int64(v))
	case bson.Binary:
		return appendText(b, base64.StdEncoding.EncodeToString(v.Data))
	case bson.Decimal128:
		return appendText(b, v.String())
	case nil, bson.Null, bson.Undefined:
		b.WriteString("null")
		return nil
	case bool, int32, int64:
		return appendAny(b, v)
	default:
		return appendText(b, fmt.Sprint(v))
	}
}

func appendText(b *bytes.Buffer, s string) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line break
	return nil
}

func appendAny(b *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	b.Write(text)
	return err
}

// kept is a JSON text in two forms: as the database's own types, and as text where those do not give back exactly the same.
type kept struct {
	value any
	text  string // empty: value says it all
}

// keep finds both forms of a JSON text.
func keep(text []byte) kept {
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return kept{text: strings.ToValidUTF8(string(text), "�")}
	}
	v, err := toBSON(compact.Bytes())
	if err == nil {
		if back, err := toJSON(v); err == nil && bytes.Equal(back, compact.Bytes()) {
			return kept{value: v}
		}
		return kept{value: v, text: strings.ToValidUTF8(compact.String(), "�")}
	}
	return kept{text: strings.ToValidUTF8(compact.String(), "�")}
}

// restore gives the text back; where somebody else has changed the value since, that counts.
func (k kept) restore() ([]byte, error) {
	if k.text == "" {
		return toJSON(k.value)
	}
	now, err := toJSON(k.value)
	if err != nil {
		return nil, err
	}
	then, err := toJSON(keep([]byte(k.text)).value)
	if err != nil || bytes.Equal(now, then) {
		return []byte(k.text), err
	}
	return now, nil
}
