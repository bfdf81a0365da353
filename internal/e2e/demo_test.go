package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

const (
	demoCamera = "127.0.0.1:18554" // in examples/demo/workers.yml
	demoFPS    = 10
	demoWithin = 10 * time.Second // both streams are recorded; tests allow slack times as much
)

// demoWorkers is a copy of the demo's file, whose camera has a port of its own: somebody may run the demo beside this test.
func demoWorkers(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/demo/workers.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), demoCamera) {
		t.Fatalf("the demo's camera is not at %s any more", demoCamera)
	}
	path := filepath.Join(t.TempDir(), "workers.yml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), demoCamera, freeAddress(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDemo starts what `make run` starts, and looks at all that a new user is promised to see.
func TestDemo(t *testing.T) {
	dir, file := t.TempDir(), demoWorkers(t)
	recorders := []string{"front-door", "back-yard"}
	started := time.Now()
	p := standalone(t, dir, "--workers", file)
	for _, id := range recorders {
		first := p.films(id, "exist", func(l []movie) bool { return frames(l) > 0 })
		p.films(id, "grow", func(l []movie) bool { return frames(l) >= frames(first)+demoFPS })
	}
	took := time.Since(started)
	t.Logf("both streams are recorded, and the files grow, after %s", took.Round(time.Millisecond))
	if took > slack*demoWithin {
		t.Errorf("that took %s, promised are %s", took, demoWithin)
	}

	// By REST: progress and what each process uses, moving.
	for _, id := range append([]string{"test-camera"}, recorders...) {
		r := p.counts(id, 1)
		if r.LifecycleStatus != skalds.Running || r.Mode != skalds.ModeActive || r.Error != nil || r.Usage == nil ||
			r.Usage.MemoryBytes < 1<<20 || r.Progress.Unit != "frames" || r.Instance == nil || r.Attempt != 1 {
			t.Errorf("%s: %+v", id, r)
		}
	}
	if r, err := p.Task(t.Context(), recorders[0]); err != nil || strings.Contains(string(r.Attachments), "demo:demo@") || r.Limits.MemoryBytes != 256<<20 {
		t.Errorf("attachments %s, limits %+v, %v", r.Attachments, r.Limits, err)
	}
	if h, err := p.Usage(t.Context(), recorders[0], time.Hour); err != nil || len(h.Items) < 2 || h.Limits.MemoryBytes != 256<<20 {
		t.Errorf("%d samples of usage, limits %+v, %v", len(h.Items), h.Limits, err)
	}
	nodes, err := p.Nodes(t.Context(), "", "online")
	if err != nil || len(nodes.Items) != 1 || len(nodes.Items[0].Instances) != 3 || nodes.Items[0].Used == nil || nodes.Items[0].Used.MemoryBytes == 0 {
		t.Errorf("nodes %+v, %v", nodes, err)
	}

	// By server-sent events: the same, and the node.
	stream, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	units, moved, node := map[string]int64{}, map[string]bool{}, false
	err = p.Events(stream, client.ListenTo{}, func(e client.Event) error {
		switch e.Type {
		case "task_heartbeat":
			var d api.TaskHeartbeatData
			if err := json.Unmarshal(e.Data, &d); err != nil {
				return err
			}
			was, known := units[e.TaskID]
			units[e.TaskID] = d.Progress.Units
			if known && d.Progress.Units > was && d.Usage.MemoryBytes > 1<<20 {
				moved[e.TaskID] = true
			}
		case "skald_heartbeat":
			node = true
		}
		if node && len(moved) == 3 {
			return io.EOF
		}
		return nil
	})
	if err != io.EOF { //nolint:errorlint // returned as it is
		t.Errorf("events of the node: %t, of moving tasks: %v; %v", node, moved, err)
	}

	p.page(t)

	// Ended, every file plays, and over TCP no picture is missing.
	for _, id := range recorders {
		if _, err := p.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.films(id, "end", func(l []movie) bool { return len(l) > 0 && l[len(l)-1].end == "stop" }) {
			plays(t, m)
			if id == recorders[0] {
				regular(t, m, demoFPS)
			}
		}
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, tail(p.log.String(), 30))
	}
}

var linked = regexp.MustCompile(`(?:src|href)="(/[^"]*)"`)

// page fetches the page as a browser does, and all that it names.
func (p *program) page(t *testing.T) {
	t.Helper()
	html := fetch(t, p.Server()+"/", "text/html")
	links := linked.FindAllStringSubmatch(html, -1)
	if len(links) < 4 || !strings.Contains(html, "<title>Skalds</title>") {
		t.Fatalf("the page names %d files:\n%s", len(links), html)
	}
	types := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
	for _, l := range links {
		want, known := types[filepath.Ext(l[1])]
		if !known {
			want = "text/html"
		}
		fetch(t, p.Server()+l[1], want)
	}
}

func fetch(t *testing.T, url, contentType string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || len(b) == 0 || !strings.HasPrefix(res.Header.Get("Content-Type"), contentType) {
		t.Errorf("%s: %s, %d bytes of %s, want %s; %v", url, res.Status, len(b), res.Header.Get("Content-Type"), contentType, err)
	}
	return string(b)
}

// TestDemoFile changes the file of the running demo: what is added starts, what is changed reaches the process that runs, what is
// removed ends.
func TestDemoFile(t *testing.T) {
	dir, file := t.TempDir(), demoWorkers(t)
	p := standalone(t, dir, "--workers", file)
	first := p.counts("front-door", demoFPS)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	from, until := strings.Index(text, "  front-door:"), strings.Index(text, "  back-yard:")
	if from < 0 || until < from {
		t.Fatalf("no front-door before back-yard in\n%s", text)
	}
	front := text[from:until]
	shorter := strings.Replace(front, "segmentSeconds: 60", "segmentSeconds: 1", 1)
	changed := fmt.Sprintf("%s%s\n%s", text[:from], shorter, strings.Replace(front, "front-door", "side-door", 1))
	if shorter == front {
		t.Fatalf("no segmentSeconds in\n%s", front)
	}
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	p.films("front-door", "are shorter", func(l []movie) bool { return ended(l, "rotate") >= 2 })
	if r := p.runs("front-door"); r.Instance.PID != first.Instance.PID || r.Attempt != 1 {
		t.Errorf("the process was exchanged: %d, then %d in attempt %d", first.Instance.PID, r.Instance.PID, r.Attempt)
	}
	p.films("side-door", "exist", func(l []movie) bool { return frames(l) > 0 })
	if r := p.ends("back-yard"); r.LifecycleStatus != skalds.Cancelled {
		t.Errorf("the removed task is %s", r.LifecycleStatus)
	}
}
