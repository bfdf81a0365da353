package dashboard_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/controllertest"
	"github.com/skalds-go/skalds/controller/dashboard"
)

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestThePageLoadsNothingFromElsewhere(t *testing.T) {
	s := httptest.NewServer(dashboard.Handler())
	defer s.Close()
	for _, path := range []string{"/dashboard", "/dashboard/", "/dashboard/tasks"} {
		res, page := get(t, s.URL+path)
		if res.StatusCode != 200 || !strings.Contains(page, "<title>Skalds</title>") {
			t.Errorf("%s answered %d", path, res.StatusCode)
		}
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("policy %q", csp)
		}
	}
	files, err := os.ReadDir("static")
	if err != nil {
		t.Fatal(err)
	}
	foreign := regexp.MustCompile(`https?://`)
	unsafe := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(| on[a-z]+="| style="`)
	for _, f := range files {
		res, body := get(t, s.URL+"/dashboard/assets/"+f.Name())
		if res.StatusCode != 200 || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s answered %d", f.Name(), res.StatusCode)
		}
		body = strings.ReplaceAll(body, "http://www.w3.org/2000/svg", "")
		if m := foreign.FindString(body); m != "" {
			t.Errorf("%s names another server", f.Name())
		}
		if m := unsafe.FindString(body); m != "" {
			t.Errorf("%s holds %q: text must never become markup, and the policy refuses inline code", f.Name(), m)
		}
	}
	if res, _ := get(t, s.URL+"/dashboard/assets/../dashboard.go"); strings.Contains(res.Header.Get("Content-Type"), "go") {
		t.Error("a file outside the folder is served")
	}
	if res, _ := get(t, s.URL+"/dashboard/assets/nope.js"); res.StatusCode != 404 {
		t.Errorf("a missing file answered %d", res.StatusCode)
	}
}

// world is a controller with one node and two tasks, one of which tries to be markup.
func world(t *testing.T) string {
	t.Helper()
	w := controllertest.NewWorld(t, controllertest.WorldConfig{Page: dashboard.Handler(), Worker: controllertest.Worker("demo", "1.0.0", "Demo")})
	w.Host.Behave = controllertest.ForEver
	for _, id := range []string{"camera 1/front", `<img src=x onerror="document.title='broken'">`} {
		body, err := json.Marshal(api.CreateTask{ClassName: "Demo", ID: id, Limits: skalds.Limits{MemoryBytes: 64 << 20}, Attachments: json.RawMessage(`{"url":"rtsp://u:geheim@h/1"}`)})
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.Post(w.URL+"/api/tasks", "application/json", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			t.Fatalf("create answers %s", res.Status)
		}
	}
	w.Until(t, "the tasks run", func() bool {
		_, list := get(t, w.URL+"/api/tasks?lifecycleStatus=Running")
		return strings.Contains(list, `"total":2`) && !strings.Contains(list, `"usage":null`)
	})
	return w.URL
}

func missing(dom string, want []string) string {
	for _, w := range want {
		if !strings.Contains(dom, w) {
			return w
		}
	}
	return ""
}

func TestABrowserShowsNodesAndTasks(t *testing.T) {
	b := openBrowser(t)
	b.goTo(world(t) + "/dashboard")
	dom := b.shows("node-1", `href="#/task/camera%201%2Ffront"`, "&lt;img src=x", "0.25", "8.0 MiB / 64 MiB", ">pause<", ">live<", "1 of 1 nodes online",
		">memory: watchdog (allocation rate × 0.15 s); seen: 1.3 MiB over at most, 3 kills<", ">CPU: not held<", ">processes: cgroup2 (none)<")
	if strings.Contains(dom, "<img") || b.eval("document.title") != "Skalds" {
		t.Error("an id has become markup")
	}
	b.picture("overview")
}

func TestABrowserWorksOnOneTask(t *testing.T) {
	b := openBrowser(t)
	b.goTo(world(t) + "/dashboard#/task/camera%201%2Ffront")
	b.shows("camera 1/front", "demo@1.0.0", "Memory: 8.0 MiB of at most 64 MiB", "<polyline", `class="limit"`, ">cancel<")
	b.picture("task")
	click := func(text string) {
		t.Helper()
		if got := b.eval(`(() => { const all = [...document.querySelectorAll("#task button")].filter((n) => n.textContent === ` + "`" + text + "`" + `); all.forEach((n) => n.click()); return String(all.length); })()`); got != "1" {
			t.Fatalf("%s buttons say %q", got, text)
		}
	}
	click("pause")
	b.shows(">Paused<", ">resume<")
	click("resume")
	b.shows(">Running<")
	b.eval(`void (document.querySelector("#attachments textarea").value = '{"url":"rtsp://u:***@h/2"}')`)
	click("Update")
	b.shows("Updated.")
	b.eval(`void (document.querySelector("#attachments textarea").value = '{"url":"rtsp://u:***@elsewhere/2"}')`)
	click("Update")
	b.shows("write the secret itself")
	click("cancel")
	b.shows(">Cancelled<", ">retry<")
}

func TestABrowserCreatesATask(t *testing.T) {
	b := openBrowser(t)
	b.goTo(world(t) + "/dashboard")
	b.shows("camera 1/front")
	b.eval(`void document.querySelector("#create > summary").click()`)
	b.becomes(`document.querySelector("#create form").elements.namedItem("className").value`, "Demo")
	b.eval(`void (() => { const f = document.querySelector("#create form"); f.elements.namedItem("id").value = "made here"; f.requestSubmit(); })()`)
	b.shows("Created ", `href="#/task/made%20here"`)
	b.eval(`void (() => { const f = document.querySelector("#filter").elements.namedItem("id"); f.value = "MADE"; f.dispatchEvent(new Event("input", {bubbles: true})); })()`)
	b.shows("1–1 of 1")
}
