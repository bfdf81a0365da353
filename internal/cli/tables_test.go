package cli_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
)

var rewrite = flag.Bool("update", false, "rewrite the golden files")

// golden compares what a command printed with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) int64 { return noon.Add(-d).UnixMilli() }

func ptr[T any](v T) *T { return &v }

// answers serves fixed answers by path, at a fixed time.
func answers(t *testing.T, byPath map[string]any) shell {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := byPath[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			a = api.Problem{Code: skalds.CodeNotFound, Detail: "there is nothing at " + r.URL.Path}
		}
		if err := json.NewEncoder(w).Encode(a); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return shell{env: map[string]string{"SKALDS_SERVER": s.URL}, now: noon, build: "1.2.0"}
}

func someTasks() []api.TaskResponse {
	recorder := api.TaskResponse{
		ID: "front", Name: "Front door", ClassName: "RtspRecorder", LifecycleStatus: skalds.Running, Executor: ptr("node-1"), CreateDateTime: ago(3 * time.Minute),
		Attachments: json.RawMessage(`{"rtspUrl":"rtsp://u:***@camera/1","segment":"10s"}`), IsPersistent: true, Priority: 5,
		Labels: map[string]string{"zone": "a", "floor": "1"}, Constraints: []string{"gpu", "arch!=arm64"},
		Resources: skalds.Resources{CPUCores: 0.5, MemoryBytes: 64 << 20}, Limits: skalds.Limits{CPUCores: 1, MemoryBytes: 128 << 20, PIDs: 20},
		Retry: skalds.Retry{MaxAttempts: -1, OOM: &skalds.OOMRetry{MaxAttempts: 3, Factor: 1.5}}, MemoryFailures: 1, MemoryLimit: 192 << 20, Timeouts: skalds.Timeouts{Start: skalds.Duration(10 * time.Second), Stall: skalds.Duration(5 * time.Second)},
		Isolation: skalds.Isolation{
			User: "1000", Namespaces: []skalds.Namespace{skalds.NamespacePID, skalds.NamespaceNet}, NoNewPrivileges: true,
			Paths: &skalds.Paths{ReadOnly: []string{"/data", "/etc/camera"}, ReadWrite: []string{"/var/tmp/x"}},
		},
		Epoch: 3, Attempt: 2, Run: 1, Revision: 17, RequestedVersion: "^1", Version: "rtsp-worker@1.2.0", BudgetUsed: 1, StartedAt: ago(90 * time.Second),
		Progress: skalds.Progress{Units: 2250, Unit: "frames", Stage: "record"}, Usage: &skalds.Usage{CPUCores: 0.134, MemoryBytes: 23 << 20},
		Peak: &skalds.Usage{CPUCores: 0.4, MemoryBytes: 31<<20 + 300<<10}, Instance: &api.Instance{PID: 4711, StartedAt: ago(90 * time.Second)},
		Error:    ptr("lost a packet"),
		LastExit: &skalds.Exit{Kind: skalds.ExitPanic, Code: 2, Message: "index out of range", Stack: "main.go:1\n\tmain.run\x1b[31m\n"},
	}
	backoff := api.TaskResponse{
		ID: "garage", ClassName: "RtspRecorder", LifecycleStatus: skalds.Running, Phase: skalds.PhaseBackoff, Executor: ptr("node-1"), NextAttemptAt: ago(-4 * time.Second),
		CreateDateTime: ago(26 * time.Hour), Attachments: json.RawMessage(`{}`), Retry: skalds.Retry{MaxAttempts: 3}, BudgetUsed: 2, Exception: ptr("no route to host"),
	}
	waiting := api.TaskResponse{
		ID: "train", ClassName: "Train", LifecycleStatus: skalds.Created, CreateDateTime: ago(45 * time.Second), Waiting: "no node has the label gpu", Retry: skalds.Retry{MaxAttempts: 3},
	}
	held := api.TaskResponse{
		ID: "poison", ClassName: "Train", LifecycleStatus: skalds.Created, CreateDateTime: ago(72 * time.Hour), Quarantined: "three nodes were lost under it", Retry: skalds.Retry{MaxAttempts: 3},
	}
	done := api.TaskResponse{
		ID: "count", ClassName: "Counter", LifecycleStatus: skalds.Finished, CreateDateTime: ago(10 * time.Minute), StartedAt: ago(9 * time.Minute), EndedAt: ago(5 * time.Minute),
		Progress: skalds.Progress{Percent: 100}, Result: json.RawMessage(`{"sum":5050}`), LastExit: &skalds.Exit{Kind: skalds.ExitCompleted}, Retry: skalds.Retry{MaxAttempts: 3},
	}
	return []api.TaskResponse{recorder, backoff, waiting, held, done}
}

func someNodes() api.NodeList {
	return api.NodeList{Total: 2, Items: []api.NodeResponse{
		{
			ID: "node-1", Type: skalds.NodeModeNode, Status: "online", Greeted: true, LastHeartbeat: "1772366399000", SupportedTasks: []string{"RtspRecorder", "TestCamera"}, TaskCount: 2,
			Capacity: &skalds.Capacity{CPUCores: 8, MemoryBytes: 16 << 30}, Reserved: &skalds.Resources{CPUCores: 1.5, MemoryBytes: 512 << 20},
			Used: &skalds.Usage{CPUCores: 2.25, MemoryBytes: 5 << 30}, Foreign: &skalds.Usage{CPUCores: 2, MemoryBytes: 4 << 30},
			Enforcement: &skalds.Enforcement{Memory: skalds.Enforced{Mechanism: skalds.MechanismWatchdog, Overshoot: "0.15 s of allocation", Kills: 3, MaxOver: 1.2 * (1 << 20)}, CPU: skalds.Enforced{Mechanism: skalds.MechanismNone}, PIDs: skalds.Enforced{Mechanism: skalds.MechanismRlimit}, IO: skalds.Enforced{Mechanism: skalds.MechanismCgroup2}},
			Isolation: skalds.NodeAbilities{
				skalds.AbilityUID: "only root can change users", skalds.AbilityUserNamespace: "", skalds.AbilityPIDNamespace: "", skalds.AbilityNetNamespace: "",
				skalds.AbilityLandlock: "the kernel has none", skalds.AbilityNoNewPrivileges: "",
			},
			Labels: map[string]string{"arch": "amd64"}, Workers: []string{"rtsp-worker@1.2.0"}, Incarnation: 4, Hostname: "big", PID: 100, Program: "1.2.0", Cordoned: true,
			Problems: []skalds.NodeProblem{{Path: "workers.yml:7:5", Reason: "TaskWorkers.a.atachments: unknown key: did you mean attachments?"}, {Path: "/plugins/x/1.0.0/x", Reason: "is not executable: run chmod +x on it"}},
			Instances: []api.NodeInstance{{
				PID: 4711, TaskID: "front", ClassName: "RtspRecorder", Worker: "rtsp-worker@1.2.0", State: skalds.Running, Epoch: 3, Attempt: 2, StartedAt: ago(90 * time.Second),
				Usage: skalds.Usage{CPUCores: 0.134, MemoryBytes: 23 << 20}, Peak: skalds.Usage{MemoryBytes: 31 << 20}, Progress: skalds.Progress{Units: 2250, Unit: "frames"},
			}, {TaskID: "garage", ClassName: "RtspRecorder", State: skalds.Running, Phase: skalds.PhaseBackoff}},
		},
		{ID: "old", Type: skalds.NodeModeEdge, Status: "offline", LastHeartbeat: "0", LostAt: ago(2 * time.Hour)},
	}}
}

func someWorkers() api.WorkerList {
	return api.WorkerList{Items: []controller.WorkerOnNodes{
		{WorkerInfo: skalds.WorkerInfo{
			Name: "rtsp-worker", Version: "1.2.0", Digest: "sha256:0123456789abcdef", Protocol: 1,
			Classes: []skalds.ClassInfo{{ClassName: "RtspRecorder", Capabilities: []string{"update", "pause"}}, {ClassName: "TestCamera"}},
		}, Nodes: []string{"node-1"}, Learned: []controller.Learned{{
			ClassName: "RtspRecorder", Runs: 12, Usual: skalds.Usage{CPUCores: 0.251, MemoryBytes: 64 << 20}, Peak: skalds.Usage{CPUCores: 0.9, MemoryBytes: 70 << 20}, Start: skalds.Usage{CPUCores: 1, MemoryBytes: 180 << 20},
		}}},
		{WorkerInfo: skalds.WorkerInfo{
			Name: "other", Version: "0.1.0", Digest: "sha256:fedcba9876543210", Protocol: 1,
			Classes: []skalds.ClassInfo{{ClassName: "TestCamera"}}, Conflict: "class TestCamera is offered by rtsp-worker@1.2.0 already",
		}, Nodes: []string{"node-1", "old"}},
	}, Problems: []api.ProblemOnNode{{Node: "node-1", Path: "/plugins/x/1.0.0/x", Reason: "is not executable:\nrun chmod +x on it"}}}
}

func TestTables(t *testing.T) {
	tasks := someTasks()
	paths := map[string]any{
		"/api/tasks/": api.TaskList{Items: tasks, Total: len(tasks), Page: 1, PageSize: 50},
		"/api/tasks/front/attempts": api.AttemptList{Items: []skalds.Attempt{
			{
				TaskID: "front", Epoch: 3, Attempt: 1, Node: "node-1", Version: "rtsp-worker@1.2.0", Digest: "sha256:0123", PID: 4700, StartedAt: ago(150 * time.Second), EndedAt: ago(91 * time.Second),
				Exit: &skalds.Exit{Kind: skalds.ExitPanic, Code: 2, Message: "index out of range", Stack: "main.go:1\n\tmain.run\n"}, Peak: skalds.Usage{CPUCores: 0.4, MemoryBytes: 31 << 20}, LogTail: "first\nlast\n",
			},
			{
				TaskID: "front", Epoch: 3, Attempt: 2, Node: "node-1", Version: "rtsp-worker@1.2.0", PID: 4705, StartedAt: ago(90 * time.Second), EndedAt: ago(86 * time.Second),
				Exit: &skalds.Exit{Kind: skalds.ExitLimit, Code: -1, Signal: "killed", Message: "memory: the tree uses 130 MiB (peak 130 MiB), the limit is 128 MiB"}, Peak: skalds.Usage{CPUCores: 1, MemoryBytes: 130 << 20},
				Usage: []skalds.UsageSample{
					{At: ago(90 * time.Second), Usage: skalds.Usage{MemoryBytes: 20 << 20}}, {At: ago(88 * time.Second), Usage: skalds.Usage{MemoryBytes: 20 << 20}}, {At: ago(86 * time.Second), Usage: skalds.Usage{MemoryBytes: 130 << 20}},
				},
			},
			{TaskID: "front", Epoch: 3, Attempt: 3, Node: "node-1", Version: "rtsp-worker@1.2.0", PID: 4711, StartedAt: ago(85 * time.Second)},
		}},
		"/api/tasks/front/usage": api.UsageHistory{TaskID: "front", Limits: tasks[0].Limits, Items: []skalds.UsageSample{
			{At: ago(22 * time.Second), Span: 10_000, Usage: skalds.Usage{CPUCores: 0.1, MemoryBytes: 20 << 20}, Peak: skalds.Usage{CPUCores: 0.5, MemoryBytes: 25 << 20}},
			{At: ago(2 * time.Second), Usage: skalds.Usage{CPUCores: 0.1, MemoryBytes: 23 << 20}},
			{At: ago(time.Second), Usage: skalds.Usage{CPUCores: 0.126, MemoryBytes: 1536 << 10}, Progress: 12.5},
		}},
		"/api/tasks/front/recordings": api.RecordingList{Items: []skalds.Artifact{
			{Kind: "recording", Path: "recordings/front/1.mp4", Node: "node-1", Epoch: 3, StartedAt: ago(80 * time.Second), EndedAt: ago(70 * time.Second), Duration: 10000, Bytes: 5 << 20, EndReason: "segment is full", Meta: json.RawMessage(`{"codec":"h264"}`)},
			{Kind: "recording", Path: "recordings/front/2.mp4", Node: "node-1", Epoch: 3, StartedAt: ago(70 * time.Second)},
		}},
		"/api/tasks/front/why": controller.Explanation{
			TaskID: "front", State: skalds.Running, Executor: "node-1", Summary: "Running on node node-1", Needs: skalds.Resources{CPUCores: 0.5, MemoryBytes: 64 << 20}, NeedsFrom: "requested",
			Candidates: []controller.Candidate{
				{NodeID: "node-1", Worker: "rtsp-worker@1.2.0", Score: 0.81234, Free: skalds.Resources{CPUCores: 5.75, MemoryBytes: 11 << 30}, Chosen: true},
				{NodeID: "node-2", Worker: "rtsp-worker@1.2.0", Score: 0.5, Free: skalds.Resources{CPUCores: 4, MemoryBytes: 8 << 30}},
				{NodeID: "old", Refused: "is offline"},
			},
		},
		"/api/skalds/":       someNodes(),
		"/api/skalds/node-1": someNodes().Items[0],
		"/api/workers/":      someWorkers(),
		"/api/system/controllers": api.ControllerList{Items: []api.Controller{
			{ID: "box-0001a", URL: "http://10.0.0.1:8000", Mode: "DISPATCHER", Leader: true, Version: "1.3.0", SeenAt: ago(2 * time.Second)},
			{ID: "box-0002b", URL: "http://10.0.0.2:8000", Mode: "MONITOR", Version: "1.2.0", SeenAt: ago(time.Second)},
		}},
		"/api/system/version": api.SystemVersion{Version: "1.3.0", GoVersion: "go1.26"},
		"/api/system/health":  api.SystemHealth{Status: "degraded", Services: map[string]string{"store": "healthy", "redis": "connection refused"}, Leader: &api.Leader{ID: "big-01f3a", URL: "http://10.0.0.5:8000"}},
	}
	for _, task := range tasks {
		paths["/api/tasks/"+task.ID] = task
	}
	s := answers(t, paths)
	for name, args := range map[string]string{
		"task_list": "task list", "task_list_wide": "task list -o wide", "task_get": "task get front", "task_get_backoff": "task get garage", "task_get_waiting": "task get train",
		"task_get_finished": "task get count", "task_attempts": "task attempts front", "task_attempts_wide": "task attempts front -o wide", "task_usage": "task usage front", "worker_get": "worker get rtsp-worker",
		"task_recordings": "task recordings front", "task_recordings_wide": "task recordings front -o wide", "task_why": "task why front",
		"node_list": "node list", "node_list_wide": "node list -o wide", "node_get": "node get node-1", "controllers": "controllers", "worker_list": "worker list", "worker_list_wide": "worker list -o wide",
	} {
		t.Run(name, func(t *testing.T) {
			r := s.run(t, strings.Fields(args)...)
			r.check(t, 0, r.out, "")
			golden(t, name, r.out)
		})
	}
	t.Run("doctor", func(t *testing.T) {
		r := s.run(t, "doctor", "--data-dir", filepath.Join(t.TempDir(), "data"))
		r.check(t, 1, r.out, "skalds: doctor: something does not work: see the lines that say fail\n")
		_, server, found := strings.Cut(r.out, "controller")
		if !found {
			t.Fatal(r.out)
		}
		golden(t, "doctor", strings.ReplaceAll(server, s.env["SKALDS_SERVER"], "SERVER"))
	})
}

func TestNames(t *testing.T) {
	tasks := someTasks()
	s := answers(t, map[string]any{"/api/tasks/": api.TaskList{Items: tasks, Total: len(tasks)}, "/api/skalds/": someNodes(), "/api/workers/": someWorkers()})
	s.run(t, "task", "list", "-o", "name").check(t, 0, "front\ngarage\ntrain\npoison\ncount\n", "")
	s.run(t, "node", "list", "-o", "name").check(t, 0, "node-1\nold\n", "")
	s.run(t, "worker", "list", "-o", "name").check(t, 0, "rtsp-worker@1.2.0\nother@0.1.0\n", "")
	s.run(t, "__complete", "task", "cancel", "front", "").check(t, 0, "garage\ntrain\npoison\ncount\n:4\n", "…")
	s.run(t, "__complete", "task", "get", "t").check(t, 0, "train\n:4\n", "…")
	s.run(t, "__complete", "task", "get", "front", "").check(t, 0, ":4\n", "…")
	s.run(t, "__complete", "node", "drain", "").check(t, 0, "node-1\nold\n:4\n", "…")
	s.run(t, "__complete", "task", "create", "").check(t, 0, "RtspRecorder\nTestCamera\n:4\n", "…")
}
