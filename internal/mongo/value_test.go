package mongo

import (
	"bytes"
	"encoding/json"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// FuzzJSON checks that whatever a user sends as attachments comes back letter by letter, through real BSON.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":[1.5,null,true,"x"]}`, `{"$a":{"b":1e400}}`, `1.0`, `-0`, `9223372036854775808`, `{"a":1,"a":2}`, `"\ud800"`, `{"\u0000":""}`, `[[[[]]]]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var compact bytes.Buffer
		if !json.Valid(text) || json.Compact(&compact, text) != nil {
			t.Skip("no JSON")
		}
		doc, err := with(nil, json.RawMessage(compact.Bytes()))
		if err != nil {
			t.Fatalf("write %q: %v", text, err)
		}
		stored, err := bson.Marshal(doc)
		if err != nil {
			t.Fatalf("store %q as %v: %v", text, doc, err)
		}
		var back bson.D
		if err := bson.Unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		got, err := contents[json.RawMessage]([]bson.D{back}, nil)
		if err != nil {
			t.Fatalf("read %q: %v", text, err)
		}
		if want, err := marshal(json.RawMessage(compact.Bytes())); err != nil || !bytes.Equal(got[0], want) {
			t.Errorf("%q came back as %q (%v)", want, got[0], err)
		}
	})
}
