package mongo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// What others than we may read stands in the documents as values of MongoDB, not as text. JSON and BSON differ, so a value whose text
// would not come back as it went in is also kept as text: see exactKey in fields.go.

// deepest is how far values may be nested; MongoDB takes 100 levels in all.
const deepest = 80

var errUnstorable = errors.New("MongoDB has no such value")

// fromJSON turns JSON into a value of BSON: objects keep their order, whole numbers that fit are int32 or int64, all others float64.
// It fails for what MongoDB does not take: deep nesting, numbers beyond float64, keys that begin with $ or hold a zero byte.
func fromJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := nextValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errUnstorable
	}
	return v, nil
}

func nextValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Number:
		return number(v.String())
	case json.Delim:
		if depth == deepest {
			return nil, errUnstorable
		}
		if v == '{' {
			return object(d, depth+1)
		}
		return array(d, depth+1)
	}
	return token, nil // a string, a bool or nothing
}

func object(d *json.Decoder, depth int) (any, error) {
	fields := bson.D{}
	at := map[string]int{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string)
		if strings.HasPrefix(key, "$") || strings.Contains(key, "\x00") {
			return nil, errUnstorable
		}
		v, err := nextValue(d, depth)
		if err != nil {
			return nil, err
		}
		if i, twice := at[key]; twice { // the last one holds, as everywhere
			fields[i].Value = v
			continue
		}
		at[key] = len(fields)
		fields = append(fields, bson.E{Key: key, Value: v})
	}
	_, err := d.Token()
	return fields, err
}

func array(d *json.Decoder, depth int) (any, error) {
	list := bson.A{}
	for d.More() {
		v, err := nextValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func number(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return whole(n), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errUnstorable
	}
	return f, nil
}

// whole is a number as the original's driver writes it.
func whole(n int64) any {
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		return int32(n)
	}
	return n
}

// appendJSON writes a value of BSON as JSON. ours says that the field is one of skalds: a float that is a whole number is then a
// whole number that somebody wrote by hand, and a date stands for its ms. What JSON has no word for becomes text, or null.
func appendJSON(b []byte, value any, ours bool) []byte {
	switch v := value.(type) {
	case bson.D:
		b = append(b, '{')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(appendText(b, e.Key), ':'), e.Value, ours)
		}
		return append(b, '}')
	case bson.A:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, e, ours)
		}
		return append(b, ']')
	case string:
		return appendText(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case int32:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return appendFloat(b, v, ours)
	case bson.DateTime:
		if ours {
			return strconv.AppendInt(b, int64(v), 10)
		}
		return appendText(b, v.Time().UTC().Format(time.RFC3339Nano))
	case bson.Decimal128:
		if text := v.String(); json.Valid([]byte(text)) {
			return append(b, text...)
		}
	case bson.ObjectID:
		return appendText(b, v.Hex())
	case bson.Binary:
		return appendText(b, base64.StdEncoding.EncodeToString(v.Data))
	case bson.Symbol:
		return appendText(b, string(v))
	}
	return append(b, "null"...)
}

func appendFloat(b []byte, f float64, ours bool) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if ours && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return strconv.AppendInt(b, int64(f), 10)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if !ours && !bytes.ContainsAny(b[start:], ".e") {
		b = append(b, ".0"...) // it stays a float where the reader tells them apart
	}
	return b
}

func appendText(b []byte, text string) []byte {
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can always be written
	return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
}
