package skalds

import "testing"

func TestContentHashIgnoresOnlyTheSpelling(t *testing.T) {
	base := ContentHash([]byte(`{"a":1,"b":{"c":"x","d":[1,2]}}`))
	for _, same := range []string{"{\"b\": {\"d\":[1,2], \"c\":\"x\"},\n \"a\":1}"} {
		if ContentHash([]byte(same)) != base {
			t.Errorf("%s has another hash", same)
		}
	}
	for _, other := range []string{`{"a":2,"b":{"c":"x","d":[1,2]}}`, `{"a":1,"b":{"c":"x","d":[2,1]}}`, `{`, ``} {
		if ContentHash([]byte(other)) == base {
			t.Errorf("%s has the same hash", other)
		}
	}
	if ContentHash(nil) != ContentHash([]byte(" null ")) {
		t.Error("nothing and null differ")
	}
}
