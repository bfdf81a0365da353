package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Config says how the API answers. The zero value serves one machine without a token.
type Config struct {
	// Version of the program, shown by /api/system/version.
	Version string `yaml:"version"`
	// Mode of the controller, in the original's words: CONTROLLER, MONITOR or DISPATCHER; default DISPATCHER (everything).
	Mode string `yaml:"mode"`
	// Host and Port under which people reach it, shown by /api/system/config.
	Host string `yaml:"host"`
	Port int    `yaml:"port"`
	// Token that clients must send as "Authorization: Bearer …"; empty: none is asked for.
	Token string `yaml:"token"`
	// AllowedHosts are names, beside localhost and addresses, that a browser may use to reach a loopback listener: those of a
	// reverse proxy. All others are refused there, so that no foreign page can rebind its name to this machine.
	AllowedHosts []string `yaml:"allowed_hosts"`
	// KeepAlive is the pause between comments on a silent event stream; default 15s.
	KeepAlive time.Duration `yaml:"keep_alive"`
	// Pulse is the time between two looks at the nodes for an event stream; default 1s.
	Pulse time.Duration `yaml:"pulse"`
	// WriteTimeout is how long a client of a stream may take to accept one piece before it is dropped; default 10s.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// AnswerTimeout is how long an operation that is no stream may take before it is answered 503; default 10s.
	AnswerTimeout time.Duration `yaml:"answer_timeout"`
	// Settings are shown by /api/system/config beside the original's; no secrets in here.
	Settings SystemSettings `yaml:"settings"`
	// Controllers lists those that run over the same services, by id; nil: that is not known, and none are listed.
	Controllers func(ctx context.Context) ([]skalds.ControllerInfo, error) `yaml:"-"`
	// Now tells the time; nil: time.Now.
	Now func() time.Time `yaml:"-"`
}

// SystemSettings are the figures of the original's configuration that clients can read.
type SystemSettings struct {
	NodeInterval     int    // seconds, MONITOR_SKALD_INTERVAL
	TaskInterval     int    // seconds, MONITOR_TASK_INTERVAL
	HeartbeatTimeout int    // seconds, the lease
	DispatchInterval int    // seconds, DISPATCHER_INTERVAL
	Strategy         string // DISPATCHER_STRATEGY
	Environment      string // SKALD_ENV
	LogLevel         string
}

// bodyReadTimeout is how long a client may take to send a body of at most 1 MiB.
const bodyReadTimeout = 10 * time.Second

type routes struct {
	cfg     Config
	tasks   TaskService
	nodes   NodeService
	events  Events
	streams StreamSink
	health  Health
	log     hclog.Logger
	huma    huma.API
	pulse   *pulse
	page    bool // the dashboard is served
	started time.Time
}

// New makes the handler of everything that a controller serves. dashboard, which may be nil, is served under /dashboard.
// Streams end when the request's context does: give the http.Server a BaseContext that ends at shutdown.
func New(cfg Config, tasks TaskService, nodes NodeService, events Events, streams StreamSink, health Health, dashboard http.Handler, log hclog.Logger) http.Handler {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if cfg.Mode == "" {
		cfg.Mode = "DISPATCHER"
	}
	if cfg.KeepAlive <= 0 {
		cfg.KeepAlive = 15 * time.Second
	}
	if cfg.Pulse <= 0 {
		cfg.Pulse = time.Second
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	if cfg.AnswerTimeout <= 0 {
		cfg.AnswerTimeout = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	mux := http.NewServeMux()
	r := &routes{
		cfg: cfg, tasks: tasks, nodes: nodes, events: events, streams: streams, health: health, log: log.Named("api"),
		pulse: &pulse{nodes: nodes, every: cfg.Pulse * 9 / 10, now: cfg.Now}, started: cfg.Now(),
		page: dashboard != nil,
	}
	r.huma = humago.New(slashless{mux}, r.humaConfig())

	r.taskRoutes()
	r.recordRoutes()
	r.logRoutes()
	r.nodeRoutes()
	r.workerRoutes()
	r.eventRoutes()
	r.systemRoutes()
	r.analyticsRoutes()
	r.probeRoutes()
	mux.HandleFunc("POST /api/internal/streams/{id}", r.deliver)
	mux.HandleFunc("GET /api/docs", r.docs)
	mux.HandleFunc("GET /api/openapi.json", r.openAPI())
	mux.Handle("GET /api/redoc", http.RedirectHandler("/api/docs", http.StatusFound))
	mux.HandleFunc("GET /api", r.root)
	if dashboard != nil {
		mux.Handle("/dashboard", dashboard)
		mux.Handle("/dashboard/", dashboard)
		mux.Handle("GET /{$}", http.RedirectHandler("/dashboard", http.StatusFound))
	} else {
		mux.HandleFunc("GET /{$}", r.root)
	}
	return r.guard(mux)
}

func (r *routes) humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Skalds", Version: r.version(), Description: "Tasks, each in a process of its own. Paths and names are those of the Python original, repaired and extended."},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			},
		},
		Formats: map[string]huma.Format{
			"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat,
		},
		DefaultFormat: "application/json",
		// One that is misspelt would be a filter that filters nothing.
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{r.asProblem},
	}
}

func (r *routes) version() string {
	if r.cfg.Version == "" {
		return "dev"
	}
	return r.cfg.Version
}

// slashless registers every path without its last slash; guard removes it from requests, so both spellings work.
type slashless struct{ *http.ServeMux }

// HandleFunc implements humago.Mux.
func (s slashless) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	s.ServeMux.HandleFunc(strings.TrimSuffix(pattern, "/"), h)
}

// handle registers one operation; every error of fn leaves as a problem.
func handle[I, O any](r *routes, method, path, summary string, fn func(context.Context, *I) (*O, error), change ...func(*huma.Operation)) {
	tag := "system"
	if parts := strings.Split(path, "/"); len(parts) > 2 {
		tag = parts[2]
	}
	op := huma.Operation{
		Method: method, Path: path, Summary: summary, Tags: []string{tag},
		OperationID: operationID(method, path),
		Responses:   map[string]*huma.Response{"default": r.problemResponse()},
	}
	for _, c := range change {
		c(&op)
	}
	var documented huma.RequestBody
	if op.RequestBody != nil {
		documented = *op.RequestBody
		op.RequestBody = &huma.RequestBody{}
		op.SkipValidateBody = true                // decodeBody does it
		op.MaxBodyBytes = skalds.MaxBodyBytes + 1 // huma refuses a body that reaches it
		op.BodyReadTimeout = bodyReadTimeout
	}
	_, stream := any((*O)(nil)).(*huma.StreamResponse) // which lives on when fn has returned
	huma.Register(r.huma, op, func(ctx context.Context, in *I) (*O, error) {
		if !stream {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, r.cfg.AnswerTimeout)
			defer cancel()
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, r.problem(ctx, err)
		}
		return out, nil
	})
	if op.RequestBody != nil { // huma takes a raw body for a file, and would refuse an empty one in its own words
		op.RequestBody.Content = documented.Content
		op.RequestBody.Required = false
	}
}

func operationID(method, path string) string {
	words := []string{strings.ToLower(method)}
	for _, p := range strings.Split(strings.Trim(strings.TrimPrefix(path, "/api"), "/"), "/") {
		if name, ok := strings.CutPrefix(p, "{"); ok {
			p = "by-" + strings.TrimSuffix(name, "}")
		}
		words = append(words, p)
	}
	return strings.Join(words, "-")
}

// status sets the code of the good answer.
func status(code int) func(*huma.Operation) {
	return func(op *huma.Operation) { op.DefaultStatus = code }
}

// produces documents an answer that huma does not write itself.
func produces(contentTypes ...string) func(*huma.Operation) {
	return func(op *huma.Operation) {
		content := map[string]*huma.MediaType{}
		for _, ct := range contentTypes {
			content[ct] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		}
		op.Responses["200"] = &huma.Response{Description: "OK", Content: content}
	}
}

// body documents a request body of type T, which decodeBody reads. The document does not say "required": huma would check
// that in its own words.
func body[T any](r *routes) func(*huma.Operation) {
	return func(op *huma.Operation) {
		op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{
			"application/json": {Schema: r.schemaOf(reflect.TypeFor[T]())},
		}}
	}
}

func (r *routes) schemaOf(t reflect.Type) *huma.Schema {
	return r.huma.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}
