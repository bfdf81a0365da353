package api_test

import (
	"encoding/json"
	"testing"

	"github.com/skalds-go/skalds"
)

// TestATaskOfAPythonNodeIsAlive: no host reports it, and programs of the original ask whether it lives.
func TestATaskOfAPythonNodeIsAlive(t *testing.T) {
	f := newFake()
	for _, id := range []string{"beats", "silent"} {
		f.tasks[id] = &skalds.Task{Spec: skalds.Spec{ID: id, ClassName: "Count"}, LifecycleStatus: skalds.Running, Executor: "py"}
	}
	f.beats["beats"] = true
	s := serve(t, f)
	for id := range f.tasks {
		a := call(t, s, "GET", "/api/tasks/"+id+"/heartbeat", "")
		var got struct {
			IsAlive bool `json:"isAlive"`
		}
		if err := json.Unmarshal(a.body, &got); err != nil || got.IsAlive != f.beats[id] {
			t.Errorf("%s: alive %v, %v in %s", id, got.IsAlive, err, a.body)
		}
	}
}
