package cli_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// A node whose heartbeats come and that does nothing is not well.
func TestDoctorOnNodesThatDoNothing(t *testing.T) {
	node := func(id string, greeted bool) api.NodeResponse {
		return api.NodeResponse{ID: id, Type: skalds.NodeModeNode, Status: "online", Greeted: greeted}
	}
	assigned := func(id, node string, since time.Duration) api.TaskResponse {
		return api.TaskResponse{ID: id, LifecycleStatus: skalds.Assigning, Executor: &node, UpdateDateTime: ago(since)}
	}
	for _, tt := range []struct {
		name      string
		nodes     []api.NodeResponse
		tasks     []api.TaskResponse
		want, not string
		bus       string
	}{
		{
			"without a hello",
			[]api.NodeResponse{node("mute", false)},
			nil,
			"warn node mute is online, but its hello has not been answered: it gets no task; look at the log of its host: it must reach the bus " +
				"warn nodes 1 of 1 online, none ready for new tasks", "", "healthy",
		},
		{
			"that begins with nothing",
			[]api.NodeResponse{node("stuck", true)},
			[]api.TaskResponse{assigned("a", "stuck", 45*time.Second), assigned("b", "stuck", time.Minute)},
			"warn node stuck has not begun with 2 tasks within 30s; look at the log of its host; `skalds task why b` tells more", "none waits", "healthy",
		},
		{
			"that hears nothing, because the bus is away",
			[]api.NodeResponse{node("deaf", true)},
			[]api.TaskResponse{assigned("a", "deaf", 45*time.Second)},
			"fail service bus Kafka is away", "has not begun", "Kafka is away",
		},
		{
			"that has just been given a task",
			[]api.NodeResponse{node("well", true)},
			[]api.TaskResponse{assigned("a", "well", 20*time.Second)},
			"ok nodes 1 of 1 online, 1 ready for new tasks", "warn node well", "healthy",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answers(t, map[string]any{
				"/api/tasks/": api.TaskList{Items: tt.tasks, Total: len(tt.tasks)}, "/api/skalds/": api.NodeList{Items: tt.nodes, Total: len(tt.nodes)},
				"/api/workers/": someWorkers(), "/api/system/version": api.SystemVersion{Version: "1.2.0"},
				"/api/system/health": api.SystemHealth{Status: "healthy", Services: map[string]string{"store": "healthy", "bus": tt.bus}},
			})
			r := s.run(t, "doctor", "--data-dir", filepath.Join(t.TempDir(), "data"))
			out := strings.Join(strings.Fields(r.out), " ") // the table's columns are as wide as this machine asks for
			if !strings.Contains(out, tt.want) || tt.not != "" && strings.Contains(out, tt.not) {
				t.Errorf("printed:\n%s", r.out)
			}
		})
	}
}
