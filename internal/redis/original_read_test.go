package redis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/redis"
)

// TestWhatPythonNodesWrite plays what a node and workers of skalds 0.3.8 were seen to write.
func TestWhatPythonNodesWrite(t *testing.T) {
	m := startMini(t)
	s := openBeats(t, redis.Config{Addr: m.Addr()})
	if list, err := s.OriginalNodes(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("of an empty server: %v, %v", list, err)
	}
	if err := s.Beat(t.Context(), heartbeat(), 6*time.Second); err != nil { // one of ours writes the same keys
		t.Fatal(err)
	}
	set := func(key, value string, ttl time.Duration) {
		t.Helper()
		if err := m.Set(key, value); err != nil {
			t.Fatal(err)
		}
		if ttl > 0 {
			m.SetTTL(key, ttl)
		}
	}
	m.HSet("skalds:mode:hash", "py-1", "node", "py-2", "node", "py-3", "edge")
	m.HSet("skalds:hash", "py-1", "1795846140588")
	set("skalds:py-1:heartbeat", "99", 8*time.Second)
	set("skalds:py-1:all-task", `{"tasks":[{"id":"run","class_name":"CountWorker"}],"existed_task_ids":["run"],"timestamp":1795846146603}`, time.Hour)
	if _, err := m.Push("skalds:py-1:allow-task-class-name", "CountWorker", "Other"); err != nil {
		t.Fatal(err)
	}
	set("skalds:py-2:heartbeat", "17", 0) // does not expire: no sign of life
	set("skalds:py-2:all-task", `{"tasks":`, 0)
	nodes, err := s.OriginalNodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(nodes, func(a, b skalds.OriginalNode) int { return strings.Compare(a.ID, b.ID) })
	if diff := cmp.Diff([]skalds.OriginalNode{
		{ID: "py-1", Mode: skalds.NodeModeNode, Left: 8 * time.Second, Classes: []string{"CountWorker", "Other"}, Tasks: []string{"run"}, ListedAt: 1795846146603},
		{ID: "py-2", Mode: skalds.NodeModeNode},
		{ID: "py-3", Mode: skalds.NodeModeEdge},
	}, nodes, about); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}

	set("task:runs:heartbeat", "129", 8*time.Second)
	set("task:runs:exception", "", 0)
	set("task:reset:heartbeat", "7", 0)
	set("task:done:heartbeat", "200", time.Hour)
	set("task:failed:heartbeat", "-1", time.Hour)
	set("task:failed:exception", "failed at 2, as told", 0)
	set("task:stopped:heartbeat", "-2", time.Hour)
	set("task:odd:heartbeat", "odd", 8*time.Second)
	tasks, err := s.OriginalTasks(t.Context(), []string{"runs", "reset", "done", "failed", "stopped", "odd", "none"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]skalds.OriginalTask{
		"runs":    {Found: true, Value: 129, Left: 8 * time.Second},
		"reset":   {Found: true, Value: 7},
		"done":    {Found: true, Value: 200, Left: time.Hour},
		"failed":  {Found: true, Value: -1, Left: time.Hour, Exception: "failed at 2, as told"},
		"stopped": {Found: true, Value: -2, Left: time.Hour},
		"odd":     {},
		"none":    {},
	}, tasks, about); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	for id, want := range map[string]struct {
		beating bool
		end     skalds.State
	}{
		"runs": {beating: true}, "reset": {}, "none": {}, "odd": {},
		"done": {end: skalds.Finished}, "failed": {end: skalds.Failed}, "stopped": {end: skalds.Cancelled},
	} {
		if got := tasks[id]; got.Beating() != want.beating || got.End() != want.end {
			t.Errorf("%s beats: %v, end %q", id, got.Beating(), got.End())
		}
	}
	if err := s.ForgetOriginalTasks(t.Context(), "failed", "none"); err != nil {
		t.Fatal(err)
	}
	if m.Exists("task:failed:heartbeat") || m.Exists("task:failed:exception") || !m.Exists("task:done:heartbeat") {
		t.Error("not exactly one task was forgotten")
	}
}

// about takes two lives for equal that differ by less than the time of a slow test.
var about = cmp.Comparer(func(a, b time.Duration) bool { return (a-b).Abs() < 5*time.Second && (a == 0) == (b == 0) })
