package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
)

func create(t testing.TB, f *fake, id string, attachments string) *skalds.Task {
	t.Helper()
	_, _, err := f.Create(t.Context(), controller.CreateRequest{Spec: skalds.Spec{ID: id, ClassName: "Echo", Attachments: json.RawMessage(attachments)}})
	if err != nil {
		t.Fatal(err)
	}
	return f.tasks[id]
}

func TestATaskIsCreatedReadListedAndCancelled(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	a := call(t, s, "POST", "/api/tasks/", `{"className":"Echo","id":"cam 1/ä","attachments":{"rtspUrl":"rtsp://u:p@h/s","n":12345678901234567890},"retry":{"maxAttempts":5,"initialDelay":"1s","oom":{"factor":2,"maxMemoryBytes":1024}}}`)
	if a.status != http.StatusCreated {
		t.Fatalf("create answered %d: %s", a.status, a.body)
	}
	location := a.header.Get("Location")
	if location != "/api/tasks/cam%201%2F%C3%A4" || a.header.Get("ETag") != `"1"` {
		t.Errorf("Location %q, ETag %q", location, a.header.Get("ETag"))
	}
	if !strings.HasPrefix(f.who, "rest@") {
		t.Errorf("the audit would name %q", f.who)
	}
	if got := string(f.tasks["cam 1/ä"].Attachments); !strings.Contains(got, "u:p@h") {
		t.Errorf("the password was lost on its way in: %s", got)
	}
	var got api.TaskResponse
	call(t, s, "GET", location, "").decode(t, &got)
	if got.ID != "cam 1/ä" || got.LifecycleStatus != skalds.Created || got.Executor != nil || got.Error != nil || got.Retry.MaxAttempts != 5 || *got.Retry.OOM != (skalds.OOMRetry{MaxAttempts: 3, Factor: 2, MaxMemoryBytes: 1024}) {
		t.Errorf("read %+v", got)
	}
	if want := `{"n":12345678901234567890,"rtspUrl":"rtsp://u:***@h/s"}`; string(got.Attachments) != want {
		t.Errorf("attachments %s, want %s", got.Attachments, want)
	}
	for _, path := range []string{"/api/tasks", "/api/tasks/", "/api/tasks/?id=CAM", "/api/tasks?lifecycleStatus=Created,Running"} {
		var list api.TaskList
		call(t, s, "GET", path, "").decode(t, &list)
		if list.Total != 1 || len(list.Items) != 1 || list.Page != 1 || list.PageSize != 20 {
			t.Errorf("%s lists %+v", path, list)
		}
	}
	a = call(t, s, "DELETE", location+"/", "")
	var done api.Done[api.TaskStatus]
	a.decode(t, &done)
	if a.status != 200 || !done.Success || done.Data.Status != skalds.Cancelled {
		t.Errorf("delete answered %d %s", a.status, a.body)
	}
	if a = call(t, s, "POST", location+"/cancel", ""); a.status != http.StatusConflict {
		t.Errorf("a second cancel answered %d %s", a.status, a.body)
	}
}

func TestEveryFieldOfTheOriginalIsThere(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	create(t, f, "a", "")
	var got map[string]any
	call(t, s, "GET", "/api/tasks/a", "").decode(t, &got)
	for _, name := range []string{"id", "className", "lifecycleStatus", "executor", "createDateTime", "updateDateTime", "mode", "attachments", "heartbeat", "error", "exception", "priority", "epoch", "attempt", "revision", "progress", "usage", "instance", "lastExit"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if _, ok := got["attachments"].(map[string]any); !ok {
		t.Errorf("attachments that were never given are %v, the original's clients want an object", got["attachments"])
	}
	call(t, s, "GET", "/api/skalds/node-1", "").decode(t, &got)
	for _, name := range []string{"id", "type", "status", "lastHeartbeat", "supportedTasks", "currentTasks", "heartbeat", "taskCount", "capacity", "reserved", "used", "enforcement", "isolation", "instances", "labels", "draining"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s of a node is missing", name)
		}
	}
}

func TestLiveFiguresComeFromTheNode(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	task := create(t, f, "a", "{}")
	task.LifecycleStatus, task.Executor, task.Epoch = skalds.Running, "node-1", 4
	f.live["a"] = &skalds.InstanceStatus{
		TaskID: "a", Epoch: 4, Attempt: 2, State: skalds.Running, PID: 99, StartedAt: 5, Worker: "echo@1.0.0",
		Usage: skalds.Usage{CPUCores: 0.5, MemoryBytes: 7}, Peak: skalds.Usage{MemoryBytes: 9}, Progress: skalds.Progress{Percent: 40},
		Error: "cannot open rtsp://u:geheim@h/s",
	}
	var got api.TaskResponse
	call(t, s, "GET", "/api/tasks/a", "").decode(t, &got)
	if got.Usage == nil || got.Usage.MemoryBytes != 7 || got.Peak.MemoryBytes != 9 || got.Instance == nil || got.Instance.PID != 99 || got.Progress.Percent != 40 || got.Attempt != 2 || got.Version != "echo@1.0.0" {
		t.Errorf("read %+v", got)
	}
	if got.Error == nil || *got.Error != "cannot open rtsp://u:***@h/s" {
		t.Errorf("error %v", got.Error)
	}
}

func TestWhatANodeSaidIsMasked(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	create(t, f, "a", "{}")
	f.candidates = []controller.Candidate{{NodeID: "n1", Refused: "failed or refused the task a moment ago: open rtsp://u:geheim@h/s"}}
	var got controller.Explanation
	call(t, s, "GET", "/api/tasks/a/why", "").decode(t, &got)
	if len(got.Candidates) != 1 || got.Candidates[0].Refused != "failed or refused the task a moment ago: open rtsp://u:***@h/s" {
		t.Errorf("read %+v", got.Candidates)
	}
}

func TestAnIdempotencyKeyCreatesOnce(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	body := `{"className":"Echo"}`
	first := call(t, s, "POST", "/api/tasks", body, "Idempotency-Key", "k1")
	second := call(t, s, "POST", "/api/tasks", body, "Idempotency-Key", "k1")
	if first.status != 201 || second.status != 201 || first.header.Get("Location") != second.header.Get("Location") || len(f.tasks) != 1 {
		t.Errorf("%d %s and %d %s, %d tasks", first.status, first.header.Get("Location"), second.status, second.header.Get("Location"), len(f.tasks))
	}
	if other := call(t, s, "POST", "/api/tasks", `{"className":"Echo","priority":1}`, "Idempotency-Key", "k1"); other.status != 422 {
		t.Errorf("another body under the same key answered %d %s", other.status, other.body)
	}
}

func TestActionsAnswerAcceptedOrConflict(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	create(t, f, "a", "{}").LifecycleStatus = skalds.Running
	for _, step := range []struct {
		verb   string
		status int
		state  skalds.State
	}{{"resume", 409, ""}, {"pause", 202, skalds.Paused}, {"pause", 409, ""}, {"resume", 202, skalds.Running}, {"retry", 409, ""}, {"cancel", 202, skalds.Cancelled}, {"retry", 202, skalds.Created}} {
		a := call(t, s, "POST", "/api/tasks/a/"+step.verb, "")
		var got api.TaskResponse
		a.decode(t, &got)
		if a.status != step.status || got.LifecycleStatus != step.state {
			t.Errorf("%s answered %d %s", step.verb, a.status, a.body)
		}
	}
	if a := call(t, s, "PUT", "/api/tasks/a/status", `{"lifecycleStatus":"Cancelled"}`); a.status != 200 {
		t.Errorf("PUT status answered %d %s", a.status, a.body)
	}
	if a := call(t, s, "PUT", "/api/tasks/a/status", `{"lifecycleStatus":"Created"}`); a.status != 200 || f.tasks["a"].LifecycleStatus != skalds.Created {
		t.Errorf("PUT Created answered %d %s", a.status, a.body)
	}
}

func TestAttachmentsKeepTheSecretsThatComeBackMasked(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	task := create(t, f, "a", `{"url":"rtsp://u:geheim@cam:554/live","apiKey":"k","n":1}`)
	put := func(body string, header ...string) answer {
		return call(t, s, "PUT", "/api/tasks/a/attachments", `{"attachments":`+body+`}`, header...)
	}
	stored := func() string { return string(task.Attachments) }

	a := put(`{"url":"rtsp://u:***@cam:554/live","apiKey":"***","n":2}`)
	if want := `{"apiKey":"k","n":2,"url":"rtsp://u:geheim@cam:554/live"}`; a.status != 200 || stored() != want {
		t.Errorf("%d %s; stored %s", a.status, a.body, stored())
	}
	if strings.Contains(string(a.body), "geheim") {
		t.Errorf("the answer holds the password: %s", a.body)
	}
	if a = put(`{"url":"rtsp://u:***@cam:554/other"}`); a.status != 200 || !strings.Contains(stored(), "u:geheim@cam:554/other") {
		t.Errorf("another path answered %d %s; stored %s", a.status, a.body, stored())
	}
	before := stored()
	if a = put(`{"url":"rtsp://u:***@evil/live"}`); a.status != 422 || !strings.Contains(string(a.body), "attachments.url") || stored() != before {
		t.Errorf("another host answered %d %s; stored %s", a.status, a.body, stored())
	}
	if a = put(`{"url":"rtsp://u:neu@evil/live"}`); a.status != 200 || !strings.Contains(stored(), "u:neu@evil") {
		t.Errorf("a new password answered %d %s; stored %s", a.status, a.body, stored())
	}

	var got api.TaskResponse
	read := call(t, s, "GET", "/api/tasks/a", "")
	read.decode(t, &got)
	if a = put(`{"n":3}`, "If-Match", read.header.Get("ETag")); a.status != 200 || a.header.Get("ETag") == read.header.Get("ETag") {
		t.Errorf("If-Match answered %d %s", a.status, a.body)
	}
	if a = put(`{"n":4}`, "If-Match", read.header.Get("ETag")); a.status != http.StatusPreconditionFailed || stored() != `{"n":3}` {
		t.Errorf("an old If-Match answered %d %s; stored %s", a.status, a.body, stored())
	}
	task.LifecycleStatus = skalds.Finished
	if a = put(`{"n":5}`); a.status != http.StatusConflict {
		t.Errorf("an update of a finished task answered %d %s", a.status, a.body)
	}
}

func TestPagesAndCursors(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	for i := range 7 {
		create(t, f, fmt.Sprintf("t%d", i), "{}")
	}
	var page api.TaskList
	call(t, s, "GET", "/api/tasks/?page=2&pageSize=3", "").decode(t, &page)
	if page.Total != 7 || len(page.Items) != 3 || page.Items[0].ID != "t3" || page.Page != 2 {
		t.Errorf("page 2 is %+v", page)
	}
	var ids []string
	for cursor := ""; ; {
		var l api.TaskList
		call(t, s, "GET", "/api/tasks/?pageSize=3&cursor="+cursor, "").decode(t, &l)
		for _, i := range l.Items {
			ids = append(ids, i.ID)
		}
		if cursor = l.Next; cursor == "" {
			break
		}
	}
	if strings.Join(ids, " ") != "t6 t5 t4 t3 t2 t1 t0" {
		t.Errorf("cursors gave %v", ids)
	}
}

func TestIsolationIsTakenAndShown(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	const isolation = `{"user":"1000:1000","namespaces":["pid","net"],"paths":{"readOnly":["/data"],"readWrite":["/var/tmp/x"]},"noNewPrivileges":true}`
	a := call(t, s, "POST", "/api/tasks", `{"className":"Echo","id":"caged","isolation":`+isolation+`}`)
	if a.status != http.StatusCreated {
		t.Fatalf("create answered %d: %s", a.status, a.body)
	}
	var got struct{ Isolation json.RawMessage }
	call(t, s, "GET", "/api/tasks/caged", "").decode(t, &got)
	if string(got.Isolation) != isolation {
		t.Errorf("shown as %s", got.Isolation)
	}
	if kept := f.tasks["caged"].Isolation; kept.User != "1000:1000" || kept.Paths == nil || len(kept.Needs()) != 5 {
		t.Errorf("kept as %+v", kept)
	}
	create(t, f, "free", "{}")
	if a := call(t, s, "GET", "/api/tasks/free", ""); strings.Contains(string(a.body), `"isolation"`) {
		t.Errorf("one without: %s", a.body)
	}
	f.nodes[0].Heartbeat.Isolation = skalds.NodeAbilities{skalds.AbilityLandlock: "the kernel has none", skalds.AbilityUID: ""}
	var node api.NodeResponse
	call(t, s, "GET", "/api/skalds/"+f.nodes[0].ID, "").decode(t, &node)
	if len(node.Isolation) != 2 || node.Isolation[skalds.AbilityLandlock] != "the kernel has none" {
		t.Errorf("the node shows %v", node.Isolation)
	}
}

func TestWrongInput(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	create(t, f, "there", "{}")
	large := `{"className":"Echo","attachments":{"x":"` + strings.Repeat("a", skalds.MaxBodyBytes) + `"}}`
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		field                    string // "" = no field is named
		text                     string
	}{
		{"no JSON", "POST", "/api/tasks", `{"className":`, nil, 400, "body", "JSON"},
		{"where it ends", "POST", "/api/tasks", "{\n  \"a\": x}", nil, 400, "body", "line 2"},
		{"two values", "POST", "/api/tasks", `{"className":"Echo"}{}`, nil, 400, "body", "one"},
		{"no object", "POST", "/api/tasks", `[1]`, nil, 422, "body", "object"},
		{"empty body", "POST", "/api/tasks", ``, nil, 400, "body", "empty"},
		{"too large", "POST", "/api/tasks", large, nil, 413, "", "1 MiB"},
		{"no class", "POST", "/api/tasks", `{}`, nil, 422, "className", "missing"},
		{"unknown class", "POST", "/api/tasks", `{"className":"Nope"}`, nil, 422, "className", "known classes: Echo"},
		{"id exists", "POST", "/api/tasks", `{"className":"Echo","id":"there"}`, nil, 409, "", "there is a task"},
		{"bad id", "POST", "/api/tasks", `{"className":"Echo","id":".."}`, nil, 422, "id", "cannot be used"},
		{"unknown field", "POST", "/api/tasks", `{"className":"Echo","priorty":3}`, nil, 422, "priorty", "no field"},
		{"unknown field below", "POST", "/api/tasks", `{"className":"Echo","limits":{"ram":3}}`, nil, 422, "limits.ram", "no field"},
		{"unknown field of retry.oom", "POST", "/api/tasks", `{"className":"Echo","retry":{"oom":{"max":3}}}`, nil, 422, "retry.oom.max", "no field"},
		{"wrong type of retry.oom", "POST", "/api/tasks", `{"className":"Echo","retry":{"oom":{"factor":"2"}}}`, nil, 422, "retry.oom.factor", "number"},
		{"wrong type", "POST", "/api/tasks", `{"className":"Echo","priority":"high"}`, nil, 422, "priority", "integer"},
		{"duration without unit", "POST", "/api/tasks", `{"className":"Echo","timeouts":{"run":"5"}}`, nil, 422, "", "no unit"},
		{"duration as number", "POST", "/api/tasks", `{"className":"Echo","timeouts":{"run":5}}`, nil, 422, "timeouts.run", "string"},
		{"not supported", "POST", "/api/tasks", `{"className":"Echo","survive":true}`, nil, 422, "survive", "not supported yet"},
		{"attachments no object", "POST", "/api/tasks", `{"className":"Echo","attachments":[1]}`, nil, 422, "attachments", "object"},
		{"attachments masked", "POST", "/api/tasks", `{"className":"Echo","attachments":{"u":"rtsp://a:***@h"}}`, nil, 422, "attachments.u", "secret"},
		{"isolation", "POST", "/api/tasks", `{"className":"Echo","isolation":{"user":"root","paths":{"readOnly":["/a","b"]}}}`, nil, 422, "isolation.user", "\nisolation.paths.readOnly.1: \"b\" is not absolute"},
		{"isolation by an unknown field", "POST", "/api/tasks", `{"className":"Echo","isolation":{"uid":7}}`, nil, 422, "isolation.uid", "no field"},
		{"isolation by a wrong type", "POST", "/api/tasks", `{"className":"Echo","isolation":{"user":1000}}`, nil, 422, "isolation.user", "string"},
		{"other media", "POST", "/api/tasks", `x=1`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "", "application/json"},
		{"unknown task", "GET", "/api/tasks/nope", "", nil, 404, "", "nope"},
		{"control character in the path", "GET", "/api/tasks/a%00b", "", nil, 422, "task_id", "control"},
		{"dots in the path", "GET", "/api/tasks/%2E%2E", "", nil, 422, "task_id", "cannot be used"},
		{"long id in the path", "GET", "/api/tasks/" + strings.Repeat("a", 129), "", nil, 422, "task_id", "128"},
		{"unknown node", "GET", "/api/skalds/nope", "", nil, 404, "", "nope"},
		{"unknown path", "GET", "/api/nope", "", nil, 404, "", "/api/docs"},
		{"wrong method", "PATCH", "/api/tasks/there", "", nil, 405, "", "use"},
		{"page 0", "GET", "/api/tasks?page=0", "", nil, 422, "page", ">= 1"},
		{"page no number", "GET", "/api/tasks?page=x", "", nil, 422, "page", "integer"},
		{"page size", "GET", "/api/tasks?pageSize=501", "", nil, 422, "pageSize", "500"},
		{"number out of range", "POST", "/api/tasks", `{"className":"Echo","priority":1e9999999}`, nil, 422, "priority", "number 1e9999999 is out of range"},
		{"size out of range", "POST", "/api/tasks", `{"className":"Echo","resources":{"cpuCores":1e9999999}}`, nil, 422, "resources.cpuCores", "number 1e9999999 is out of range"},
		{"unknown state", "GET", "/api/tasks?lifecycleStatus=Dead", "", nil, 422, "lifecycleStatus", `"Dead" is none of [Created Assigning Running Paused Finished Failed Cancelled]`},
		{"unknown parameter", "GET", "/api/tasks?state=Dead", "", nil, 422, "state", "is no parameter of this path: it has page, pageSize, lifecycleStatus, className, id, executor, mode, label, cursor"},
		{"unknown parameters", "GET", "/api/tasks?status=x&label=a=b&Page=1", "", nil, 422, "Page", "\nstatus: is no parameter of this path"},
		{"parameter where there is none", "GET", "/api/tasks/there?full=true", "", nil, 422, "full", "it has none"},
		{"bad label", "GET", "/api/tasks?label=x", "", nil, 422, "label", "key=value"},
		{"status that cannot be set", "PUT", "/api/tasks/there/status", `{"lifecycleStatus":"Paused"}`, nil, 422, "lifecycleStatus", "one of"},
		{"attachments missing", "PUT", "/api/tasks/there/attachments", `{}`, nil, 422, "attachments", "missing"},
		{"attachments null", "PUT", "/api/tasks/there/attachments", `{"attachments":null}`, nil, 422, "attachments", "object"},
		{"bad If-Match", "PUT", "/api/tasks/there/attachments", `{"attachments":{}}`, []string{"If-Match", "abc"}, 422, "If-Match", "ETag"},
		{"hours", "GET", "/api/system/analytics/recent-activity?hours=200", "", nil, 422, "hours", "168"},
		{"drain deadline", "POST", "/api/skalds/node-1/drain", `{"deadline":"5"}`, nil, 422, "body", "has no unit"},
		{"cordon with a deadline", "POST", "/api/skalds/node-1/cordon", `{"deadline":"5m"}`, nil, 422, "deadline", "belongs to drain only"},
		{"labels that are none", "PUT", "/api/skalds/node-1/labels", `{"labels":["a"]}`, nil, 422, "labels", "object"},
		{"tail", "GET", "/api/tasks/there/logs?tail=-1", "", nil, 422, "tail", ">= 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := call(t, s, c.method, c.path, c.body, c.header...)
			if a.status != c.status {
				t.Fatalf("answered %d, want %d: %.300s", a.status, c.status, a.body)
			}
			if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("content type %q", ct)
			}
			var p api.Problem
			a.decode(t, &p)
			fields := ""
			for _, e := range p.Errors {
				fields += e.Field + ": " + e.Message + "\n"
			}
			if c.field != "" && !strings.HasPrefix(fields, c.field+":") {
				t.Errorf("names the fields %q, want %s", fields, c.field)
			}
			if !strings.Contains(p.Detail+fields, c.text) {
				t.Errorf("says %q %q, want something with %q", p.Detail, fields, c.text)
			}
			if p.Status != c.status || p.Code == "" {
				t.Errorf("problem %+v", p)
			}
		})
	}
}

func TestInternalErrorsStayInTheLog(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	f.fail = errors.New("sqlite: disk I/O error at /secret/path")
	a := call(t, s, "GET", "/api/tasks/a", "")
	var p api.Problem
	a.decode(t, &p)
	if a.status != 500 || strings.Contains(string(a.body), "sqlite") || p.RequestID == "" || !strings.Contains(p.Detail, p.RequestID) || a.header.Get("X-Request-Id") != p.RequestID {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	f.fail = skalds.Errorf(skalds.CodeUnavailable, "the store does not answer")
	if a = call(t, s, "GET", "/api/tasks/a", ""); a.status != 503 || !strings.Contains(string(a.body), "the store does not answer") {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

// TestAServiceIsAway is told with when to try again, whether it says so or says nothing.
func TestAServiceIsAway(t *testing.T) {
	f := newFake()
	s := serve(t, f, func(c *api.Config) { c.AnswerTimeout = 20 * time.Millisecond })
	for _, c := range []struct {
		name, method, path, body, says string
		fail                           error
	}{
		{"it says so", "POST", "/api/tasks/", `{"className":"Echo"}`, "the store does not answer", skalds.Errorf(skalds.CodeUnavailable, "the store does not answer")},
		{"its time-out is over", "POST", "/api/tasks/", `{"className":"Echo"}`, "/readyz", fmt.Errorf("write: %w", context.DeadlineExceeded)},
		{"it says nothing", "GET", "/api/tasks/a/logs", "", "/readyz", fmt.Errorf("read: %w", context.DeadlineExceeded)},
		{"the operation's time-out is over", "GET", "/api/tasks/classnames", "", "/readyz", errSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.mu.Lock()
			f.fail = c.fail
			f.mu.Unlock()
			a := call(t, s, c.method, c.path, c.body)
			var p api.Problem
			a.decode(t, &p)
			if a.status != 503 || a.header.Get("Retry-After") != "2" || p.Code != skalds.CodeUnavailable || !strings.Contains(p.Detail, c.says) {
				t.Errorf("answered %d, Retry-After %q: %s", a.status, a.header.Get("Retry-After"), a.body)
			}
		})
	}
	f.mu.Lock()
	f.fail = nil
	f.mu.Unlock()
	if a := call(t, s, "GET", "/api/tasks/nope", ""); a.status != 404 || a.header.Get("Retry-After") != "" {
		t.Errorf("answered %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
}

// TestAControllerThatStops says so to whoever waits for an answer.
func TestAControllerThatStops(t *testing.T) {
	f := newFake()
	f.fail = errSilent
	s := serve(t, f, func(c *api.Config) { c.AnswerTimeout = time.Minute })
	ctx, stop := context.WithCancel(t.Context())
	stop()
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/tasks/classnames", nil)
	rec := httptest.NewRecorder()
	s.Config.Handler.ServeHTTP(rec, req)
	if text := rec.Body.String(); rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(text, "another") {
		t.Errorf("answered %d, Retry-After %q: %s", rec.Code, rec.Header().Get("Retry-After"), text)
	}
}

func FuzzCreateBody(f *testing.F) {
	for _, s := range []string{`{"className":"Echo"}`, `{`, `{"className":1}`, `{"className":"Echo","attachments":{"a":[1,{"b":"rtsp://u:***@h"}]}}`, `{"className":"Echo","retry":{"initialDelay":"1s","factor":1e400}}`, `null`, `{"limits":{"pids":1.5}}`, "{\"className\":\"\\ud800\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fk := newFake()
		h := api.New(api.Config{}, fk, fk, fk, fk, fk, nil, nil)
		a := record(t, h, b)
		switch a.Code {
		case 201:
			if len(fk.tasks) != 1 {
				t.Errorf("created %d tasks", len(fk.tasks))
			}
			var got api.TaskResponse
			if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil || got.ClassName != "Echo" {
				t.Errorf("answered %s: %v", a.Body.Bytes(), err)
			}
		case 400, 409, 413, 422:
			var p api.Problem
			if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil || p.Detail == "" {
				t.Errorf("answered %s: %v", a.Body.Bytes(), err)
			}
		default:
			t.Errorf("answered %d %s", a.Code, a.Body.Bytes())
		}
	})
}
