package validator_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds/plugin-sdk/schema"
	"github.com/skalds-go/skalds/plugin-sdk/schema/validator"
)

type camera struct {
	RTSPURL  string            `json:"rtspUrl" jsonschema:"required,minLength=1,description=where the stream is"`
	FixFrame int               `json:"fixFrame,omitempty" jsonschema:"minimum=0,maximum=120,default=30"`
	Mode     string            `json:"mode,omitempty" jsonschema:"enum=tcp,enum=udp"`
	Note     *string           `json:"note,omitempty"`
	Tags     []string          `json:"tags,omitempty"`
	Extra    map[string]string `json:"extra,omitempty"`
	Subs     []struct {
		Name     string  `json:"name" jsonschema:"required"`
		Duration float64 `json:"duration,omitempty"`
	} `json:"sub_tasks,omitempty"`
}

func compile(t *testing.T, doc json.RawMessage, err error) *validator.Schema {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := validator.Compile(doc)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return s
}

func TestValidate(t *testing.T) {
	doc, err := schema.Of[camera]()
	s := compile(t, doc, err)
	tests := []struct {
		doc  string
		want []schema.FieldError
	}{
		{`{"rtspUrl":"rtsp://x"}`, nil},
		{`{"rtspUrl":"rtsp://x","fixFrame":30,"mode":"udp","note":"n","tags":["a"],"extra":{"k":"v"},"sub_tasks":[{"name":"a","duration":1.5}]}`, nil},
		{``, []schema.FieldError{{Field: "rtspUrl", Message: "is missing"}}},
		{`null`, []schema.FieldError{{Field: "rtspUrl", Message: "is missing"}}},
		{`{"rtspUrl":""}`, []schema.FieldError{{Field: "rtspUrl", Message: "minLength: got 0, want 1"}}},
		{`{"rtspUrl":"x","fixFrame":"30"}`, []schema.FieldError{{Field: "fixFrame", Message: "got string, want integer"}}},
		{`{"rtspUrl":"x","fixFrame":1.5}`, []schema.FieldError{{Field: "fixFrame", Message: "got number, want integer"}}},
		{`{"rtspUrl":"x","fixFrame":121}`, []schema.FieldError{{Field: "fixFrame", Message: "maximum: got 121, want 120"}}},
		{`{"rtspUrl":"x","mode":"quic"}`, []schema.FieldError{{Field: "mode", Message: "value must be one of 'tcp', 'udp'"}}},
		{`{"rtspUrl":"x","rtsp_url":"y","other":1}`, []schema.FieldError{{Field: "other", Message: "is unknown"}, {Field: "rtsp_url", Message: "is unknown"}}},
		{`{"rtspUrl":"x","sub_tasks":[{"name":"a"},{"duration":true}]}`, []schema.FieldError{{Field: "sub_tasks.1.duration", Message: "got boolean, want number"}, {Field: "sub_tasks.1.name", Message: "is missing"}}},
		{`[]`, []schema.FieldError{{Field: "", Message: "got array, want object"}}},
	}
	for _, tt := range tests {
		t.Run(tt.doc, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, s.Validate(json.RawMessage(tt.doc))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := s.Validate(json.RawMessage(`{"a":`)); len(got) != 1 || !strings.HasPrefix(got[0].Message, "no valid JSON") {
		t.Errorf("broken JSON: %v", got)
	}
}

type node struct {
	Children []node `json:"children,omitempty"`
}

func TestOddTypes(t *testing.T) {
	doc, err := schema.Of[struct{}]()
	if got := compile(t, doc, err).Validate(json.RawMessage(`{"a":1}`)); len(got) != 1 {
		t.Errorf("a class without attachments takes %v", got)
	}
	doc, err = schema.Of[map[string]int]()
	s := compile(t, doc, err)
	if got := s.Validate(json.RawMessage(`{"a":1}`)); got != nil {
		t.Errorf("a map: %v", got)
	}
	if got := s.Validate(json.RawMessage(`{"a":"b"}`)); len(got) != 1 || got[0].Field != "a" {
		t.Errorf("a map of numbers takes text: %v", got)
	}
	doc, err = schema.Of[json.RawMessage]()
	if got := compile(t, doc, err).Validate(json.RawMessage(`{"a":[1]}`)); got != nil {
		t.Errorf("raw JSON: %v", got)
	}
	if _, err := schema.Of[node](); err == nil || !strings.Contains(err.Error(), "contains itself") {
		t.Errorf("a type that contains itself: %v", err)
	}
}

func TestCompile(t *testing.T) {
	if s, err := validator.Compile(nil); err != nil || s.Validate(json.RawMessage(`{"x":1}`)) != nil {
		t.Errorf("no schema allows everything: %v", err)
	}
	for _, doc := range []string{`{`, `{"type":7}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"https://example.com/s"}`} {
		if _, err := validator.Compile(json.RawMessage(doc)); err == nil {
			t.Errorf("%s compiles", doc)
		}
	}
}

func FuzzValidate(f *testing.F) {
	doc, err := schema.Of[camera]()
	if err != nil {
		f.Fatal(err)
	}
	s, err := validator.Compile(doc)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"rtspUrl":"x"}`)
	f.Add(`{"sub_tasks":[{}],"fixFrame":1e999}`)
	f.Fuzz(func(t *testing.T, in string) {
		if diff := cmp.Diff(s.Validate(json.RawMessage(in)), s.Validate(json.RawMessage(in))); diff != "" {
			t.Errorf("%q is judged in two ways:\n%s", in, diff)
		}
	})
}
