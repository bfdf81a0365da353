package kafka

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlaces(t *testing.T) {
	held := map[string]holding{
		"a": {"1", map[int32]span{0: {10, 20}, 1: {0, 5}, 2: {3, 9}, 3: {1, 4}}},
		"b": {"9", map[int32]span{0: {2, 7}}},
		"c": {"5", map[int32]span{0: {1, 3}}},
	}
	before := places{
		"a": {"1", map[int32]int64{0: 4, 1: 3, 2: 30}}, // cut off, read to the middle, behind the end; one has come
		"b": {"8", map[int32]int64{0: 5}},              // made anew
	}
	got := before.within(held, true)
	if diff := cmp.Diff(places{
		"a": {"1", map[int32]int64{0: 10, 1: 3, 2: 9, 3: 1}}, "b": {"9", map[int32]int64{0: 2}}, "c": {"5", map[int32]int64{0: 1}},
	}, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	got.read("a", 1, 3)
	again, ok := parsePlaces(got.String())
	if diff := cmp.Diff(got, again); !ok || diff != "" || again["a"].Next[1] != 4 {
		t.Errorf("read back: %v (-want +got):\n%s", ok, diff)
	}
	first := places{}.within(held, false)
	if first["a"].Next[0] != 20 || first["b"].Next[0] != 7 || first["c"].Next[0] != 3 {
		t.Errorf("at first it is read from %v", first)
	}
}

func FuzzParsePlaces(f *testing.F) {
	for _, s := range []string{"", "null", "{}", `{"a":{"id":"1","next":{"0":4}}}`, `{"a":{"id":"","next":{"0":4}}}`, `{"a":{"id":"1","next":{"-1":4}}}`, "abc:7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parsePlaces(s)
		if !ok {
			return
		}
		again, ok := parsePlaces(p.String())
		if diff := cmp.Diff(p, again); !ok || diff != "" {
			t.Errorf("%q is read back as %v:\n%s", s, ok, diff)
		}
	})
}
