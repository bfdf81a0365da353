package redis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSilent(t *testing.T) {
	var w watched
	start := time.Now()
	for i, step := range []struct {
		after time.Duration
		texts map[string]string
		want  map[string]bool
	}{
		{0, map[string]string{"a": "1", "b": "1"}, map[string]bool{}},
		{20 * time.Second, map[string]string{"a": "2", "b": "1"}, map[string]bool{}},
		{31 * time.Second, map[string]string{"a": "2", "b": "1"}, map[string]bool{"b": true}},
		{40 * time.Second, map[string]string{"a": "3", "b": "2"}, map[string]bool{}},          // b is back
		{75 * time.Second, map[string]string{"b": "2"}, map[string]bool{"b": true}},           // a is gone
		{80 * time.Second, map[string]string{"a": "3", "b": "2"}, map[string]bool{"b": true}}, // a is new
		{9 * time.Hour, map[string]string{"a": "3", "b": "3"}, map[string]bool{"a": true}},    // a reader that has slept
	} {
		if diff := cmp.Diff(step.want, w.silent(step.texts, 30*time.Second, start.Add(step.after))); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}
