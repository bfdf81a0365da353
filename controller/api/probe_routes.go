package api

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/skalds-go/skalds"
)

// Probe is the answer of /livez and /readyz.
type Probe struct {
	Status   string            `json:"status"`
	Services map[string]string `json:"services,omitempty"`
	Leader   *Leader           `json:"leader,omitempty"`
}

// Leader is the controller that decides.
type Leader struct {
	ID  string `json:"id" doc:"a name of its own for each start"`
	URL string `json:"url,omitempty" doc:"of its REST interface, where it is announced"`
}

// leader is nil where nobody leads.
func (r *routes) leader(ctx context.Context) *Leader {
	l := r.health.Leader(ctx)
	if l.ID == "" {
		return nil
	}
	return &Leader{l.ID, l.URL}
}

type probeOutput struct {
	Status int
	Body   Probe
}

func hours(n int) string { return fmt.Sprintf("%d hours", n) }

func (r *routes) probeRoutes() {
	probe := func(op *huma.Operation) {
		op.Tags = []string{"probes"}
		op.SkipValidateParams = true // who probes may say ?verbose, as elsewhere
	}
	handle(r, http.MethodGet, "/livez", "The process answers", func(context.Context, *struct{}) (*probeOutput, error) {
		return &probeOutput{http.StatusOK, Probe{Status: "ok"}}, nil
	}, probe)
	handle(r, http.MethodGet, "/readyz", "All services answer; 503 with what is wrong otherwise", func(ctx context.Context, _ *struct{}) (*probeOutput, error) {
		ok, services := r.ready(ctx)
		if !ok {
			return &probeOutput{http.StatusServiceUnavailable, Probe{"not ready", services, r.leader(ctx)}}, nil
		}
		return &probeOutput{http.StatusOK, Probe{"ok", services, r.leader(ctx)}}, nil
	}, probe)
}

// Root is the answer of /api, as in the original.
type Root struct {
	Name      string             `json:"name"`
	Version   string             `json:"version"`
	Mode      string             `json:"mode"`
	Status    string             `json:"status"`
	Endpoints map[string]*string `json:"endpoints"` // null: not served by this controller
}

func (r *routes) root(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	out := Root{Name: "Skalds System Controller", Version: r.version(), Mode: r.cfg.Mode, Status: "running", Endpoints: map[string]*string{"dashboard": nil}}
	for name, path := range map[string]string{
		"tasks": "/api/tasks", "skalds": "/api/skalds", "events": "/api/events", "system": "/api/system", "workers": "/api/workers",
		"docs": "/api/docs", "openapi": "/api/openapi.json", "dashboard": "/dashboard",
	} {
		if name != "dashboard" || r.page {
			out.Endpoints[name] = &path
		}
	}
	if err := huma.DefaultJSONFormat.Marshal(w, out); err != nil {
		r.log.Debug("cannot write an answer", "err", err)
	}
}

// openAPI serves the document, made once.
func (r *routes) openAPI() http.HandlerFunc {
	document := sync.OnceValues(func() ([]byte, error) {
		r.nameNamespaces()
		return json.Marshal(r.huma.OpenAPI())
	})
	return func(w http.ResponseWriter, req *http.Request) {
		b, err := document()
		if err != nil {
			r.writeProblem(w, r.problem(req.Context(), fmt.Errorf("write the OpenAPI document: %w", err)))
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		if _, err := w.Write(b); err != nil {
			r.log.Debug("cannot write an answer", "err", err)
		}
	}
}

// nameNamespaces lists the kinds of namespace in the document only. As an enum of the schema they would be checked before
// Validate is asked, which names every fault at once.
func (r *routes) nameNamespaces() {
	isolation := r.huma.OpenAPI().Components.Schemas.Map()["Isolation"]
	isolation.Properties["namespaces"].Items.Extensions = map[string]any{
		"enum": []skalds.Namespace{skalds.NamespaceUser, skalds.NamespacePID, skalds.NamespaceNet},
	}
}

const docsPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Skalds API</title>
<h1>Skalds API {{.Version}}</h1><p>The whole of it, with all fields: <a href="/api/openapi.json">/api/openapi.json</a> (OpenAPI 3.1).</p>
<table>{{range .Routes}}<tr><td><b>{{.Method}}</b></td><td><code>{{.Path}}</code></td><td>{{.Summary}}</td></tr>
{{end}}</table></html>`

// docs lists the routes for people; programs read the OpenAPI document.
func (r *routes) docs(w http.ResponseWriter, _ *http.Request) {
	type route struct{ Method, Path, Summary string }
	var list []route
	for path, item := range r.huma.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete} {
			if op != nil {
				list = append(list, route{method, path, op.Summary})
			}
		}
	}
	slices.SortFunc(list, func(a, b route) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	page, err := template.New("docs").Parse(docsPage)
	if err != nil {
		r.log.Error("cannot parse the page of the API", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	if err := page.Execute(w, map[string]any{"Version": r.version(), "Routes": list}); err != nil {
		r.log.Debug("cannot write an answer", "err", err)
	}
}
