package masking

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPasswordsInURLsAreMasked(t *testing.T) {
	for in, want := range map[string]string{
		"rtsp://user:pass@host/live":                     "rtsp://user:***@host/live",
		"open rtsp://u:p@h:554/s: refused":               "open rtsp://u:***@h:554/s: refused",
		`"url":"rtsp://u:p@h/s","b":1`:                   `"url":"rtsp://u:***@h/s","b":1`,
		"rtsp://u:p@ss@host/live":                        "rtsp://u:***@host/live",
		"rtsp://u:pa/ss@host/live":                       "rtsp://u:***@host/live",
		"redis://:geheim@h:6379":                         "redis://:***@h:6379",
		"rtsp://host:554/path@x":                         "rtsp://host:554/path@x",
		"rtsp://host/a:b@c":                              "rtsp://host/a:b@c",
		"rtsp://user@host/live":                          "rtsp://user@host/live",
		"http://a:1/x,rtsp://u:p@h and http://x:y@z":     "http://a:1/x,rtsp://u:***@h and http://x:***@z",
		"http://u:p@h/?to=rtsp://v:q@i":                  "http://u:***@h/?to=rtsp://v:***@i",
		"rtsp://u:***@h":                                 "rtsp://u:***@h",
		"mail a@b.c, no url":                             "mail a@b.c, no url",
		"http://":                                        "http://",
		"mongodb://root:root@localhost:27017/?x=1 ended": "mongodb://root:***@localhost:27017/?x=1 ended",
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDocumentsKeepEverythingButSecrets(t *testing.T) {
	in := `{"a":{"passWord":"x","tokenizer":"bpe","api_key":"","ref":{"token":"${secret:T}"}},"urls":["rtsp://u:p@h/<1>"],"n":1.10,"big":12345678901234567890,"nil":null}`
	want := `{"a":{"api_key":"","passWord":"***","ref":{"token":"${secret:T}"},"tokenizer":"bpe"},"big":12345678901234567890,"n":1.10,"nil":null,"urls":["rtsp://u:***@h/<1>"]}`
	if got := string(Document(json.RawMessage(in))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(Document(json.RawMessage("rtsp://u:p@h {"))); got != `"rtsp://u:***@h {"` {
		t.Errorf("what is no JSON becomes %s", got)
	}
}

func TestDocumentsHoldNoSecrets(t *testing.T) {
	for in, want := range map[string]string{
		`{"url":"rtsp://user:p/w@host/1"}`:                    `{"url":"rtsp://user:***@host/1"}`,
		`{"url":"rtsp://host/1","n":1}`:                       `{"n":1,"url":"rtsp://host/1"}`,
		`{"apiKey":"x","sub":{"Password":"y"},"password":""}`: `{"apiKey":"***","password":"","sub":{"Password":"***"}}`,
		`{"urls":["rtsp://a:b@h/1","plain"]}`:                 `{"urls":["rtsp://a:***@h/1","plain"]}`,
		`{"tokens":["a","b"],"private-key":"c"}`:              `{"private-key":"***","tokens":["***","***"]}`,
		``:                                                    ``,
	} {
		if got := string(Document(json.RawMessage(in))); got != want {
			t.Errorf("%s is masked as %s, want %s", in, got, want)
		}
	}
}

func TestMovedElementsKeepTheirSecrets(t *testing.T) {
	stored := json.RawMessage(`{"cams":[{"u":"rtsp://a:1@x/s"},{"u":"rtsp://b:2@y/s"}]}`)
	got, changed, err := Restore(json.RawMessage(`{"cams":[{"u":"rtsp://b:***@y/s"},{"u":"rtsp://a:***@x/s"},{"u":"rtsp://c:3@z"}]}`), stored)
	if want := `{"cams":[{"u":"rtsp://b:2@y/s"},{"u":"rtsp://a:1@x/s"},{"u":"rtsp://c:3@z"}]}`; err != nil || !changed || string(got) != want {
		t.Errorf("got %s, %v, %v", got, changed, err)
	}
	if _, _, err := Restore(json.RawMessage(`{"cams":[{"u":"rtsp://q:***@y/s"}]}`), stored); err == nil || !strings.Contains(err.Error(), "attachments.cams.0.u") {
		t.Errorf("another user's mask gave %v", err)
	}
	two := json.RawMessage(`{"a":"rtsp://u:1@h","b":"rtsp://u:2@h"}`)
	if _, _, err := Restore(json.RawMessage(`{"c":"rtsp://u:***@h"}`), two); err == nil {
		t.Error("a mask that stands for two passwords was guessed")
	}
	if got, _, err := Restore(json.RawMessage(`{"a":"rtsp://u:***@h","b":"rtsp://u:***@h"}`), two); err != nil || string(got) != string(two) {
		t.Errorf("got %s, %v", got, err)
	}
}

func FuzzUnmask(f *testing.F) {
	f.Add(`{"u":"rtsp://a:b@c/d"}`)
	f.Add(`{"u":["http://a:b/c@d","x://y:z@"],"password":"***"}`)
	f.Fuzz(func(t *testing.T, doc string) {
		var v map[string]any
		if json.Unmarshal([]byte(doc), &v) != nil || strings.Contains(doc, mask) {
			return
		}
		once := Document(json.RawMessage(doc))
		if twice := Document(once); string(once) != string(twice) {
			t.Errorf("masked again %s becomes %s", once, twice)
		}
		back, _, err := Restore(once, json.RawMessage(doc))
		if err != nil {
			t.Fatalf("%s came back as %v", once, err)
		}
		stored, err := decodeNumber([]byte(doc))
		if err != nil {
			return
		}
		if want := encode(stored); string(want) != string(encode(mustDecode(t, back))) {
			t.Errorf("%s became %s", want, back)
		}
	})
}

func mustDecode(t *testing.T, b []byte) any {
	v, err := decodeNumber(b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
