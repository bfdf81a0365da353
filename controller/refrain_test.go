package controller

import (
	"fmt"
	"testing"
)

func TestTheSameIsSaidOnce(t *testing.T) {
	var r refrain
	for i, tt := range []struct {
		task, text string
		want       bool
	}{{"a", "full", true}, {"a", "full", false}, {"b", "full", true}, {"a", "away", true}, {"a", "full", true}} {
		if got := r.isNew(tt.task, tt.text); got != tt.want {
			t.Errorf("step %d: new %v, want %v", i, got, tt.want)
		}
	}
	if !r.over("a") || r.over("a") || !r.isNew("a", "full") {
		t.Error("what is over is not said anew")
	}
	for i := range 3 * maxRefrains {
		r.isNew(fmt.Sprint(i), "full")
	}
	if len(r.said) > maxRefrains {
		t.Errorf("%d tasks are remembered", len(r.said))
	}
}
