package schema_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds/plugin-sdk/schema"
	"github.com/skalds-go/skalds/plugin-sdk/schema/validator"
)

type camera struct {
	RTSPURL  string            `json:"rtspUrl" jsonschema:"required,minLength=1,maxLength=40,description=where the stream is"`
	FixFrame int               `json:"fixFrame,omitempty" jsonschema:"minimum=0,maximum=120,default=30"`
	Share    float64           `json:"share,omitempty" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1"`
	Step     int               `json:"step,omitempty" jsonschema:"multipleOf=5"`
	Mode     string            `json:"mode,omitempty" jsonschema:"enum=tcp,enum=udp"`
	Zone     string            `json:"zone,omitempty" jsonschema:"pattern=^[a-c]+$"`
	Tags     []string          `json:"tags,omitempty" jsonschema:"minItems=1,maxItems=3,uniqueItems=true"`
	Extra    map[string]string `json:"extra,omitempty"`
	Numbered map[int]int       `json:"numbered,omitempty"`
	Key      any               `json:"key,omitempty" jsonschema:"oneof_type=string;integer"`
	Left     string            `json:"left,omitempty" jsonschema:"oneof_required=left"`
	Right    string            `json:"right,omitempty" jsonschema:"oneof_required=right"`
	Subs     []struct {
		Name     string  `json:"name" jsonschema:"required"`
		Duration float64 `json:"duration,omitempty"`
	} `json:"sub_tasks,omitempty"`
}

// documents fit camera, or break one rule each and several at once.
var documents = []string{
	`{"rtspUrl":"x","left":"l"}`, ``, `null`, `[]`, `3`, `{"rtspUrl":""}`, `{"rtspUrl":"` + strings.Repeat("ä", 41) + `","left":"l"}`,
	`{"rtspUrl":"x","left":"l","fixFrame":30,"share":0.5,"step":10,"mode":"udp","zone":"abc","tags":["a","b"],"extra":{"k":"v"},"numbered":{"1":2},"key":"k","sub_tasks":[{"name":"a","duration":1.5}]}`,
	`{"rtspUrl":"x","left":"l","fixFrame":"30"}`, `{"rtspUrl":"x","left":"l","fixFrame":1.5}`, `{"rtspUrl":"x","left":"l","fixFrame":1e1}`,
	`{"rtspUrl":"x","left":"l","fixFrame":121}`, `{"rtspUrl":"x","left":"l","fixFrame":-1}`, `{"rtspUrl":"x","left":"l","share":1,"step":7}`,
	`{"rtspUrl":"x","left":"l","share":0}`, `{"rtspUrl":"x","left":"l","mode":"quic"}`, `{"rtspUrl":"x","left":"l","mode":1}`,
	`{"rtspUrl":"x","left":"l","zone":"abd"}`, `{"rtspUrl":"x","left":"l","tags":[]}`, `{"rtspUrl":"x","left":"l","tags":["a","b","c","d"]}`,
	`{"rtspUrl":"x","left":"l","tags":["a","b","a"]}`, `{"rtspUrl":"x","left":"l","tags":["a",1]}`, `{"rtspUrl":"x","left":"l","extra":{"k":1}}`,
	`{"rtspUrl":"x","left":"l","numbered":{"1":"x","a":1}}`, `{"rtspUrl":"x","left":"l","key":true}`, `{"rtspUrl":"x","left":"l","key":7}`,
	`{"rtspUrl":"x"}`, `{"rtspUrl":"x","left":"l","right":"r"}`, `{"rtspUrl":"x","left":null}`,
	`{"rtspUrl":"x","left":"l","rtsp_url":"y","other":1}`,
	`{"rtspUrl":"x","left":"l","sub_tasks":[{"name":"a"},{"duration":true}]}`,
	`{"rtspUrl":"x","left":"l","fixFrame":1e999999,"sub_tasks":[{"name":"a","duration":1e-9999999}]}`,
}

func both(t testing.TB, of json.RawMessage, doc string) (checked, validated []schema.FieldError) {
	t.Helper()
	checked, err := schema.Check(of, json.RawMessage(doc))
	if err != nil {
		t.Fatal(err)
	}
	s, err := validator.Compile(of)
	if err != nil {
		t.Fatal(err)
	}
	return checked, s.Validate(json.RawMessage(doc))
}

func TestCheckSaysWhatHostsSay(t *testing.T) {
	of, err := schema.Of[camera]()
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, doc := range documents {
		checked, validated := both(t, of, doc)
		if diff := cmp.Diff(validated, checked); diff != "" {
			t.Errorf("%s (-host +check):\n%s", doc, diff)
		}
		broken += min(len(checked), 1)
	}
	if broken != len(documents)-4 {
		t.Errorf("%d of %d documents do not fit", broken, len(documents))
	}
	if got, err := schema.Check(of, json.RawMessage(`{"a":`)); err != nil || len(got) != 1 || !strings.HasPrefix(got[0].Message, "no valid JSON") {
		t.Errorf("broken JSON: %v, %v", got, err)
	}
}

func TestCheckOfWrittenSchemas(t *testing.T) {
	for _, tt := range []struct{ schema, doc string }{
		{`true`, `{"a":1}`},
		{`false`, `{"a":1}`},
		{`{"type":["object","null"],"minProperties":1,"maxProperties":2}`, `{}`},
		{`{"maxProperties":1}`, `{"a":1,"b":2}`},
		{`{"properties":{"a":{"const":[1,{"b":2}]}}}`, `{"a":[1.0,{"b":2}]}`},
		{`{"properties":{"a":{"const":"it's"}}}`, `{"a":1}`},
		{`{"properties":{"a":{"enum":[1,null,"x"]}}}`, `{"a":2}`},
		{`{"properties":{"a":{"enum":["x"]}}}`, `{"a":"y"}`},
		{`{"properties":{"a":{"allOf":[{"type":"string"},{"minLength":2}]}}}`, `{"a":"b"}`},
		{`{"properties":{"a":{"anyOf":[{"type":"string"},{"minimum":2}]}}}`, `{"a":1}`},
		{`{"properties":{"a":{"not":{"type":"string"}}}}`, `{"a":"b"}`},
		{`{"properties":{"a":{"uniqueItems":true}}}`, `{"a":[[1],[1.0]]}`},
	} {
		checked, validated := both(t, json.RawMessage(tt.schema), tt.doc)
		if diff := cmp.Diff(validated, checked); diff != "" {
			t.Errorf("%s by %s (-host +check):\n%s", tt.doc, tt.schema, diff)
		}
	}
	for _, broken := range []string{`{`, `{"type":7}`, `{"pattern":"("}`} {
		if got, err := schema.Check(json.RawMessage(broken), json.RawMessage(`"text"`)); err == nil {
			t.Errorf("%s is a schema: %v", broken, got)
		}
	}
}

// FuzzCheck looks for documents about which workers and hosts disagree. They may word a number in two ways.
func FuzzCheck(f *testing.F) {
	of, err := schema.Of[camera]()
	if err != nil {
		f.Fatal(err)
	}
	for _, doc := range documents {
		f.Add(doc)
	}
	fields := func(faults []schema.FieldError) (out []string) {
		for _, e := range faults {
			out = append(out, e.Field)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	s, err := validator.Compile(of)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		checked, err := schema.Check(of, json.RawMessage(doc))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields(s.Validate(json.RawMessage(doc))), fields(checked)); diff != "" {
			t.Errorf("%q (-host +check):\n%s", doc, diff)
		}
	})
}
