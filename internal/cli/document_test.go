package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSet(t *testing.T) {
	for given, want := range map[string]string{
		"a=1": `{"a":1}`, "a=": `{"a":""}`, "a=x=y": `{"a":"x=y"}`, "a=true": `{"a":true}`, "a=null": `{"a":null}`, `a="1"`: `{"a":"1"}`,
		"a=007": `{"a":"007"}`, "a=12345678901234567890": `{"a":12345678901234567890}`, `a=[1,{"b":2}]`: `{"a":[1,{"b":2}]}`,
		"a.b=1": `{"a":{"b":1}}`, `a\.b=1`: `{"a.b":1}`, `a\b=1`: `{"a\\b":1}`, "a=1 2": `{"a":"1 2"}`, "a=-": `{"a":"-"}`,
	} {
		d := document{}
		if err := d.set([]string{given}); err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if got, err := json.Marshal(d); err != nil || string(got) != want {
			t.Errorf("%s makes %s, want %s (%v)", given, got, want, err)
		}
	}
}

func TestPosition(t *testing.T) {
	for doc, want := range map[string][2]int{"x": {1, 1}, "{x": {1, 2}, "{\n x": {2, 2}, "{\r\n\n  x": {3, 3}, `{"ü": x`: {1, 7}, "\ufeff{x": {1, 2}} {
		_, err := parseDocument("here", []byte(doc))
		if err == nil {
			t.Errorf("%q is accepted", doc)
			continue
		}
		var line, column int
		_, after, _ := strings.Cut(err.Error(), "line ")
		if _, scanErr := fmt.Sscanf(after, "%d, column %d", &line, &column); scanErr != nil || line != want[0] || column != want[1] {
			t.Errorf("%q is wrong at %v, want line %d, column %d", doc, err, want[0], want[1])
		}
	}
}

func FuzzParseDocument(f *testing.F) {
	for _, s := range []string{"", "{}", "[]", `{"a":1e999}`, `{"a":`, "{\n\n\"ü\":}", "\ufeff{}", `{"a":{"b":[null,true,"x"]}}`, `{} {}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDocument("here", []byte(s))
		if (err == nil) != (json.Valid([]byte(strings.TrimPrefix(s, "\ufeff"))) && d != nil) {
			t.Fatalf("%q gives %v, %v", s, d, err)
		}
		if err != nil {
			if clean(err.Error()) == "" || !strings.HasPrefix(err.Error(), "here: ") {
				t.Fatalf("%q is refused with %q", s, err)
			}
			return
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseDocument("here", b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzSet(f *testing.F) {
	for _, s := range []string{"a=1", "a.b.c=x", `a\.b=[1]`, "=", "a..b=1", `\=1`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := document{}
		if err := d.set([]string{s}); err != nil {
			if len(d) != 0 {
				t.Fatalf("%q is refused and left %v", s, d)
			}
			return
		}
		if _, err := json.Marshal(d); err != nil {
			t.Fatal(err)
		}
		key, value, _ := strings.Cut(s, "=")
		var at any = map[string]any(d)
		for _, part := range splitKey(key) {
			below, ok := at.(map[string]any)
			if !ok || len(below) != 1 {
				t.Fatalf("%q makes %v", s, d)
			}
			at = below[part]
		}
		if diff := cmp.Diff(scalar(value), at); diff != "" {
			t.Fatalf("%q makes %v: %s", s, d, diff)
		}
	})
}
