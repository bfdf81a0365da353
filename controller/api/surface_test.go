package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/skalds-go/skalds/controller/api"
)

var update = flag.Bool("update", false, "rewrite golden files")

func record(t testing.TB, h http.Handler, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/api/tasks/", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// original lists every path of the Python original's REST.
var original = []string{
	"GET /api/tasks/", "GET /api/tasks/classnames", "GET /api/tasks/{task_id}", "PUT /api/tasks/{task_id}/status",
	"PUT /api/tasks/{task_id}/attachments", "DELETE /api/tasks/{task_id}", "GET /api/tasks/{task_id}/heartbeat",
	"GET /api/skalds/", "GET /api/skalds/{skald_id}", "GET /api/skalds/{skald_id}/tasks", "GET /api/skalds/{skald_id}/status",
	"GET /api/skalds/{skald_id}/heartbeat", "GET /api/skalds/summary/statistics", "POST /api/skalds/{skald_id}/ping",
	"GET /api/events/skalds", "GET /api/events/tasks", "GET /api/events/status", "GET /api/events/test",
	"GET /api/system/health", "GET /api/system/status", "GET /api/system/dashboard/summary", "GET /api/system/config",
	"GET /api/system/metrics", "POST /api/system/cleanup", "GET /api/system/analytics/task-distribution",
	"GET /api/system/analytics/recent-activity", "GET /api/system/version",
}

func TestTheOpenAPIDocumentSaysWhatFieldsMean(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Description string
					Items       struct{ Enum []string }
				}
			}
		}
	}
	call(t, serve(t, newFake()), "GET", "/api/openapi.json", "").decode(t, &doc)
	schemas := doc.Components.Schemas
	for _, name := range []string{"Isolation", "Paths", "OOMRetry", "Pressure", "UsageSample", "Enforced"} {
		if len(schemas[name].Properties) == 0 {
			t.Errorf("there is no %s", name)
		}
		for field, p := range schemas[name].Properties {
			if p.Description == "" {
				t.Errorf("nothing is said of %s.%s", name, field)
			}
		}
	}
	for _, f := range [][2]string{{"Retry", "oom"}, {"Limits", "ioWeight"}, {"Attempt", "pressure"}, {"Attempt", "usage"}, {"Exit", "limit"}, {"Enforcement", "io"}} {
		if schemas[f[0]].Properties[f[1]].Description == "" {
			t.Errorf("nothing is said of %s.%s", f[0], f[1])
		}
	}
	if got := schemas["Isolation"].Properties["namespaces"].Items.Enum; !slices.Equal(got, []string{"user", "pid", "net"}) {
		t.Errorf("namespaces are one of %q", got)
	}
}

func TestTheOpenAPIDocumentListsEveryRoute(t *testing.T) {
	f := newFake()
	a := call(t, serve(t, f), "GET", "/api/openapi.json", "")
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema map[string]any `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
	}
	a.decode(t, &doc)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %q", doc.OpenAPI)
	}
	var have []string
	for path, methods := range doc.Paths {
		for m := range methods {
			have = append(have, strings.ToUpper(m)+" "+path)
		}
	}
	slices.Sort(have)
	for _, o := range original {
		if !slices.Contains(have, o) {
			t.Errorf("%s of the original is missing", o)
		}
	}
	if ref := doc.Paths["/api/tasks/"]["post"].RequestBody.Content["application/json"].Schema["$ref"]; ref != "#/components/schemas/CreateTask" {
		t.Errorf("the body of create is %v", ref)
	}
	got := strings.Join(have, "\n") + "\n"
	const golden = "testdata/routes.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the routes differ from %s; run the test with -update where that is meant\n%s", golden, got)
	}
}

func TestEveryGetOfTheOriginalAnswers(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	create(t, f, "a", "{}")
	for _, o := range original {
		method, path, _ := strings.Cut(o, " ")
		if strings.Contains(path, "/events/") && path != "/api/events/status" || method == "PUT" || method == "DELETE" {
			continue
		}
		path = strings.NewReplacer("{task_id}", "a", "{skald_id}", "node-1").Replace(path)
		for _, p := range []string{strings.TrimSuffix(path, "/"), strings.TrimSuffix(path, "/") + "/"} {
			if a := call(t, s, method, p, ""); a.status != 200 || !json.Valid(a.body) {
				t.Errorf("%s %s answered %d %s", method, p, a.status, a.body)
			}
		}
	}
	for _, p := range []string{"/api/tasks/a/attempts", "/api/tasks/a/recordings", "/api/tasks/a/usage", "/api/tasks/a/why", "/api/workers", "/livez", "/readyz", "/readyz?verbose", "/livez?verbose", "/api", "/api/"} {
		if a := call(t, s, "GET", p, ""); a.status != 200 || !json.Valid(a.body) {
			t.Errorf("%s answered %d %s", p, a.status, a.body)
		}
	}
	for path, where := range map[string]string{"/": "/dashboard", "/api/redoc": "/api/docs"} {
		if a := call(t, s, "GET", path, ""); a.status != 302 || a.header.Get("Location") != where {
			t.Errorf("%s answered %d %s", path, a.status, a.header.Get("Location"))
		}
	}
	if a := call(t, s, "GET", "/api/docs", ""); a.status != 200 || !strings.Contains(string(a.body), "/api/tasks/{task_id}/why") {
		t.Errorf("docs answered %d %.200s", a.status, a.body)
	}
}

func TestReadinessNamesTheServiceThatIsAway(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	f.mu.Lock()
	f.down["redis"] = "dial redis://:geheim@h: refused"
	f.mu.Unlock()
	a := call(t, s, "GET", "/readyz", "")
	if a.status != 503 || !strings.Contains(string(a.body), "redis://:***@h: refused") {
		t.Errorf("readyz answered %d %s", a.status, a.body)
	}
	var h api.SystemHealth
	call(t, s, "GET", "/api/system/health", "").decode(t, &h)
	if h.Status != "degraded" || h.Services["store"] != "healthy" {
		t.Errorf("health %+v", h)
	}
	var p api.Probe
	a.decode(t, &p)
	if want := (api.Leader{ID: "big-01f3a", URL: "http://10.0.0.5:8000"}); h.Leader == nil || *h.Leader != want || p.Leader == nil || *p.Leader != want {
		t.Errorf("health names the leader %+v, readyz %+v", h.Leader, p.Leader)
	}
	if a := call(t, s, "GET", "/livez", ""); a.status != 200 {
		t.Errorf("livez answered %d", a.status)
	}
}

// A controller that never leads runs no dispatcher.
func TestStatusOfAMonitor(t *testing.T) {
	for mode, want := range map[string]bool{"DISPATCHER": true, "MONITOR": false, "CONTROLLER": false} {
		s := serve(t, newFake(), func(c *api.Config) { c.Mode = mode })
		var status api.SystemStatus
		call(t, s, "GET", "/api/system/status", "").decode(t, &status)
		i := slices.IndexFunc(status.Components, func(c api.SystemComponent) bool { return c.Name == "Dispatcher" })
		if i < 0 || status.Components[i].Running != want {
			t.Errorf("%s: %+v", mode, status.Components)
		}
	}
}

func TestNodesAreCordonedAndDrained(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	for _, step := range []struct {
		verb               string
		cordoned, draining bool
	}{{"cordon", true, false}, {"uncordon", false, false}, {"drain", false, true}, {"undrain", false, false}} {
		a := call(t, s, "POST", "/api/skalds/node-1/"+step.verb, "")
		var n api.NodeResponse
		a.decode(t, &n)
		if a.status != 202 || n.Cordoned != step.cordoned || n.Draining != step.draining {
			t.Errorf("%s answered %d %s", step.verb, a.status, a.body)
		}
	}
}

func TestADrainIsShown(t *testing.T) {
	f := newFake()
	s := serve(t, f)
	var d api.NodeDrain
	call(t, s, "GET", "/api/skalds/node-1/drain", "").decode(t, &d)
	if d.Began != 0 || d.Left != 3 || d.Moving != 1 || d.Stay != 2 || *d.Room != 1 || len(d.NoRoom) != 1 || d.NoRoom[0].Why != "too big" {
		t.Errorf("forecast %+v", d)
	}
	var n api.NodeResponse
	if a := call(t, s, "POST", "/api/skalds/node-1/drain", `{"deadline":"5m"}`); a.status != 202 {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	call(t, s, "GET", "/api/skalds/node-1", "").decode(t, &n)
	if n.Drain == nil || n.Drain.Began != 1000 || n.Drain.DeadlineAt != 301_000 || n.Drain.Left != 3 || len(n.Drain.NoRoom) != 1 {
		t.Errorf("shown %+v", n.Drain)
	}
}

func TestLabelsAreShownByWhoGaveThem(t *testing.T) {
	f := newFake()
	f.nodes[0].Heartbeat.Labels = map[string]string{"zone": "a", "arch": "amd64"}
	s := serve(t, f)
	for _, step := range []struct{ method, body, zone string }{
		{"PUT", `{"labels":{"zone":"b"}}`, "b"}, {"PATCH", `{"labels":{"gpu":"true"}}`, "b"}, {"PATCH", `{"labels":{"zone":null}}`, "a"},
	} {
		a := call(t, s, step.method, "/api/skalds/node-1/labels", step.body)
		var n api.NodeResponse
		a.decode(t, &n)
		if a.status != 202 || n.Labels["zone"] != step.zone || n.Labels["arch"] != "amd64" || n.Announced["zone"] != "a" {
			t.Errorf("%s %s answered %d %s", step.method, step.body, a.status, a.body)
		}
	}
}

func TestWhoMayAsk(t *testing.T) {
	f := newFake()
	s := serve(t, f, func(c *api.Config) { c.Token, c.AllowedHosts = "geheim", []string{"skalds.example"} })
	for _, c := range []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"no token", "GET", "/api/tasks", nil, 401},
		{"wrong token", "GET", "/api/tasks", []string{"Authorization", "Bearer nope"}, 401},
		{"token", "GET", "/api/tasks", []string{"Authorization", "Bearer geheim"}, 200},
		{"probe", "GET", "/livez", nil, 200},
		{"page", "GET", "/dashboard", nil, 200},
		{"rebound name", "GET", "/livez", []string{"Host", "evil.example"}, 421},
		{"localhost", "GET", "/livez", []string{"Host", "localhost:8000"}, 200},
		{"IPv6", "GET", "/livez", []string{"Host", "[::1]:8000"}, 200},
		{"allowed name", "GET", "/livez", []string{"Host", "skalds.example"}, 200},
		{"another site's page", "POST", "/api/system/cleanup", []string{"Authorization", "Bearer geheim", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another origin", "POST", "/api/system/cleanup", []string{"Authorization", "Bearer geheim", "Origin", "https://evil.example"}, 403},
		{"own page", "POST", "/api/system/cleanup", []string{"Authorization", "Bearer geheim", "Sec-Fetch-Site", "same-origin"}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := call(t, s, c.method, c.path, "", c.header...); a.status != c.status {
				t.Errorf("answered %d, want %d: %s", a.status, c.status, a.body)
			} else if a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("other origins may read")
			}
		})
	}
}
